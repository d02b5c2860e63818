"""The API's page: its requests to a running tunnel, on the laptop."""

import json
import signal

from bed import check

PAGE = "docs/api.md"
TOPOLOGY = "pair"


def run(page, bed):
    tunnel, _ = bed.attached_pair()
    laptop = tunnel.host
    page.dress(laptop)
    for block in page.blocks:
        for command in block.commands() if block.kind == "sh" else ():
            if "-sSN" in command.text:
                page.start(laptop, command.text, until="\ndata: {").interrupt(-signal.SIGINT)
            elif not command.text.startswith("sudo socat"):
                answered(command.text, page.run(laptop, command.text))
    peer = tunnel.status()["peers"][0]
    check(peer["policy"] == "backup", "the policy has changed")
    check(not any(path["enabled"] for path in peer["paths"] if path["uplink_name"] == "wlan0"), "the path is not in use")
    passed_on(page, laptop)


def answered(command, answer):
    if "http_code" in command:
        good = answer.endswith("409\n") and "error" in answer
    elif "/v1/metrics" in command:
        good = "# TYPE centipede_" in answer
    else:
        good = "-o /run" in command or "error" not in json.loads(answer)
    check(good, f"{command}: {answer[:400]!r}")


def passed_on(page, laptop):
    socat = page.start(laptop, "sudo socat")
    metrics = laptop.run("curl", "-sS", "--retry", "5", "--retry-connrefused", "http://127.0.0.1:9582/v1/metrics").stdout
    check("# TYPE centipede_" in metrics, "what Prometheus would scrape")
    socat.interrupt(130)
