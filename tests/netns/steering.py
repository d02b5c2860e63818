#!/usr/bin/python3
"""Who receives what: one inner flow is one lane, a lane's packets and all their copies meet one worker."""

import sys

from bed import Bed, check

COUNTERS = ("received_xdp", "received_udp", "opened", "duplicate", "delivered")


def rows(tunnel):
    return [[worker[counter] for counter in COUNTERS] for worker in tunnel.status()["workers"]]


def flow(bed, laptop, office, count, flows):
    """What each worker of the office did for `count` datagrams in `flows` flows."""
    before = rows(office)
    sent_before = [worker["sealed"] for worker in laptop.status()["workers"]]
    report = bed.flow(laptop.host, office.host, "10.10.0.2", count, 3000, flows)
    done = [dict(zip(COUNTERS, (now - was for now, was in zip(new, old)))) for new, old in zip(rows(office), before)]
    lanes = [worker["sealed"] - was for worker, was in zip(laptop.status()["workers"], sent_before)]
    check(report == {"received": count, "duplicates": 0, "flows": flows}, f"{flows} flows: {report}")
    return done, lanes


def main():
    with Bed("pair") as bed:
        laptop, office = bed.attached_pair(workers=2)
        check(len(office.status()["workers"]) == 2, "two workers")
        done, lanes = flow(bed, laptop, office, 2000, 1)
        check(sorted(lanes) == [0, 2000], f"one flow leaves on one lane: {lanes}")
        busy = [worker for worker in done if any(worker.values())]
        check(len(busy) == 1 and busy[0]["opened"] == 2000, f"one worker gets it with all its copies: {done}")
        done, lanes = flow(bed, laptop, office, 4000, 32)
        check(min(lanes) > 0, f"32 flows leave on both lanes: {lanes}")
        check(sorted(worker["opened"] for worker in done) == sorted(lanes), f"one worker a lane: {done}")


if __name__ == "__main__":
    sys.exit(main())
