#!/usr/bin/python3
"""Who receives what: one inner flow is one lane, a lane's packets and all their copies meet one worker.

And what comes back on it meets the worker that sent. The TUN device hands a flow to the worker that last delivered for
it; if that were always another one than the one that sends, the flow would wander, and arrive out of order.
"""

import subprocess
import sys
import time

from bed import Bed, check, wait_for

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
    check(report["received"] == count and report["duplicates"] == 0 and report["flows"] == flows,
          f"{flows} flows: {report}")
    return done, lanes


def carried(tunnel):
    """Packets that each worker sealed and opened."""
    return [worker["sealed"] + worker["opened"] for worker in tunnel.status()["workers"]]


def settled_stream(laptop, office):
    """After its first moments a TCP stream and its acknowledgements are one worker's at each end."""
    listener = office.host.start("iperf3", "-s", "-1", "-B", "10.10.0.2", stdout=subprocess.DEVNULL)
    wait_for("iperf3 listens", lambda: ":5201" in office.host.run("ss", "-ltn").stdout)
    client = laptop.host.start("iperf3", "-c", "10.10.0.2", "-t", "2", stdout=subprocess.DEVNULL)
    time.sleep(0.7)
    before = [carried(laptop), carried(office)]
    time.sleep(0.7)
    for host, old, new in zip(("laptop", "office"), before, [carried(laptop), carried(office)]):
        done = [now - was for now, was in zip(new, old)]
        check(max(done) > 1000 and min(done) < max(done) / 50, f"{host}: one worker carries the stream: {done}")
    check(client.wait(10) == 0, "the stream comes to its end")
    listener.wait(10)


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
        for _ in range(3):  # each time another session, whose number spreads its lanes over the workers
            settled_stream(laptop, office)
            laptop.stop()
            laptop.attach("eth0", "wlan0")
            laptop.wait_active(2)


if __name__ == "__main__":
    sys.exit(main())
