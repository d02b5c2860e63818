"""The API's page: its requests to a running tunnel, on the laptop."""

import json

from bed import check

PAGE = "docs/api.md"
TOPOLOGY = "pair"


def run(page, bed):
    tunnel, _ = bed.attached_pair()
    laptop = tunnel.host
    page.dress(laptop)
    answers = page.run_block(laptop, "curl")
    described, status, metrics, events, policy, path, uplink, ping = answers
    check("/v1/events" in json.loads(described)["paths"], "the description")
    check(json.loads(status)["peers"][0]["name"] == "office", "the status")
    check("# TYPE centipede_" in metrics, "the metrics")
    check(any(event["kind"] == "path" for event in json.loads(events)["events"]), "the events")
    check(json.loads(policy)["policy"] == "backup", "the policy has changed")
    check(not json.loads(path)["enabled"], "the path is not in use")
    check(json.loads(uplink)["rate_bps"] == 20000000, "the uplink's rate is noted")
    check(any(one["rtt_us"] for one in json.loads(ping)["paths"]), "the peer answers")
    passed_on(page, laptop)


def passed_on(page, laptop):
    socat = page.start(laptop, "sudo socat")
    metrics = laptop.run("curl", "-sS", "--retry", "5", "--retry-connrefused", "http://127.0.0.1:9582/v1/metrics").stdout
    check("# TYPE centipede_" in metrics, "what Prometheus would scrape")
    socat.interrupt(130)
