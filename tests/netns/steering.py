#!/usr/bin/python3
"""Who receives what: one inner flow is one lane, a lane's packets and all their copies meet one worker."""

import signal
import sys

from bed import Bed, check, json, wait_for

COUNTERS = ("received_xdp", "received_udp", "opened", "duplicate", "delivered")


def rows(tunnel):
    return [[worker[counter] for counter in COUNTERS] for worker in tunnel.status()["workers"]]


def flow(laptop, office, count, flows):
    """What each worker of the office did for `count` datagrams in `flows` flows."""
    receiver = office.host.program("flow", "receive", "10.10.0.2", 7000)
    before = rows(office)
    sent_before = [worker["sealed"] for worker in laptop.status()["workers"]]
    laptop.host.call("flow", "send", "10.10.0.2", 7000, count, 3000, flows)
    opened = COUNTERS.index("opened")
    wait_for("everything arrived", lambda: sum(now[opened] - was[opened] for now, was in zip(rows(office), before)) >= count)
    done = [dict(zip(COUNTERS, (now - was for now, was in zip(new, old)))) for new, old in zip(rows(office), before)]
    lanes = [worker["sealed"] - was for worker, was in zip(laptop.status()["workers"], sent_before)]
    receiver.send_signal(signal.SIGINT)
    report = json.loads(receiver.communicate(timeout=10)[0])
    check(report == {"received": count, "duplicates": 0, "flows": flows}, f"{flows} flows: {report}")
    return done, lanes


def main():
    with Bed("pair") as bed:
        laptop, office = bed.attached_pair(workers=2)
        check(len(office.status()["workers"]) == 2, "two workers")
        done, lanes = flow(laptop, office, 2000, 1)
        check(sorted(lanes) == [0, 2000], f"one flow leaves on one lane: {lanes}")
        busy = [worker for worker in done if any(worker.values())]
        check(len(busy) == 1 and busy[0]["opened"] == 2000, f"one worker gets it with all its copies: {done}")
        done, lanes = flow(laptop, office, 4000, 32)
        check(min(lanes) > 0, f"32 flows leave on both lanes: {lanes}")
        check(sorted(worker["opened"] for worker in done) == sorted(lanes), f"one worker a lane: {done}")


if __name__ == "__main__":
    sys.exit(main())
