#!/usr/bin/python3
"""The API of a real tunnel: every resource, a stream of events, good changes and bad ones, other users and a crowd of
half-sent requests, while the tunnel carries pings and loses none."""

import json
import re
import sys

from bed import SOURCE, Bed, check


def documented(host):
    """The commands that docs/api.md shows do what it says; tests/docs sees to those that stay in the foreground."""
    for block in re.findall(r"```sh\n(.*?)```", (SOURCE / "docs/api.md").read_text(), re.DOTALL):
        for command in block.splitlines():
            if command.startswith("sudo socat") or "-sSN" in command:
                continue
            answer = host.run("sh", "-c", command).stdout
            if "http_code" in command:
                good = answer.endswith("409\n") and "error" in answer
            elif "/v1/metrics" in command:
                good = answer.startswith("# HELP")
            else:
                good = "-o /run" in command or "error" not in json.loads(answer)
            check(good, f"{command}: {answer[:60].strip()}...")


def main():
    with Bed("pair") as bed:
        laptop, office = bed.attached_pair()
        private = laptop.host.centipede("genkey").stdout
        key = laptop.host.centipede("pubkey", input=private).stdout.strip()
        descriptors = laptop.host.descriptors(laptop.daemon.pid)
        pings = laptop.host.pinging("10.10.0.2", 0.002, 500)
        said = laptop.host.call("api_client", "/run/centipede/cp0.sock", "office", key)
        check(all(status == 200 for status in said["read"].values()) and said["read"] == said["read_only"],
              f"{len(said['read'])} resources are shown on both sockets: {said['read']}")
        check(said["keylog"] == [403, 403], f"and keys on neither: {said['keylog']}")
        check(said["put_over_reading"] == 403, "the reading socket changes nothing")
        check(said["other_user"] == ["refused", "refused"], f"another user: {said['other_user']}")
        check(said["put_back"] and said["unchanged"], "the settings go out and in, and are the same at the end")
        kinds = {(event["kind"], event["peer"]) for event in said["events"]}
        numbers = [event["number"] for event in said["events"]]
        check(("peer", "added") in kinds and numbers == list(range(numbers[0], numbers[0] + len(numbers))),
              f"the stream tells of the peer that came and went: {sorted(kinds)}")
        check(said["down"] and said["up"], "a path taken out of use carries no data, and does again")
        answering = sorted(path["uplink"] for path in said["ping"] if path["rtt_us"])
        check(answering == ["eth0", "wlan0"], f"of {len(said['ping'])} pinged paths the two that work answer")
        check(said["refused"] == [400, 400, 400, 404, 409, 404, 405], f"refusals: {said['refused']}")
        check(said["served_in_the_crowd"] == 10, "others are served while 1,000 requests are half sent")
        check('centipede_path_first_packets_total{interface="cp0",peer="office",uplink="eth0"' in said["metrics"],
              "the metrics tell what a path is worth")
        documented(laptop.host)
        pings.nothing_lost("the API in use")
        check(laptop.status()["peers"][0]["handshakes"] == 1, "one session for all of it")
        check(laptop.host.descriptors(laptop.daemon.pid) <= descriptors, "no descriptor is left open")
        check(laptop.ask("detach").returncode == 0, "it ends")
        laptop.nothing_left()


if __name__ == "__main__":
    sys.exit(main())
