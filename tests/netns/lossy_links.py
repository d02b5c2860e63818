#!/usr/bin/python3
"""Two links that each lose a fifth and reorder: one packet in 25 is lost inside, none arrives twice, TCP works."""

import sys

from bed import Bed, check

COUNT = 6000


def main():
    with Bed("pair") as bed:
        laptop, office = bed.attached_pair()
        # Seeds of their own: else both links would lose the same packets.
        for link, seed in (("eth0", 11), ("wlan0", 22)):
            bed.link(link, "set", "both", "loss=20%", "reorder=10%", "reorder_delay=5ms", "delay=2ms", f"seed={seed}")
        report = bed.flow(laptop.host, office.host, "10.10.0.2", COUNT, 1000)
        unanswered = laptop.host.ping("fd10::2", 500, 0.005)
        lost = 100 * (COUNT - report["received"]) / COUNT
        check(2 <= lost <= 7 and report["duplicates"] == 0,
              f"one way: {lost:.1f} % of {COUNT} lost, {report['duplicates']} twice")
        check(unanswered / 500 <= 0.14, f"there and back: {unanswered / 5:.1f} % of 500 pings lost")
        pings = laptop.host.pinging("10.10.0.2", 0.005)
        office.host.program("echo", "serve", "10.10.0.2", 5353)
        stream = laptop.host.call("echo", "tcp", "10.10.0.2", 5353, 300_000)
        check(stream["same"] == stream["sent"], f"TCP: {stream['sent']} bytes there and back, all equal")
        pinged = pings.end()
        check(pinged["duplicates"] == pinged["damaged"] == 0, f"{pinged['sent']} pings, none answered twice or damaged")
        check(office.total("bad_tag") == laptop.total("bad_tag") == 0, "no packet was damaged")
        check(len(laptop.active()) + len(office.active()) >= 1, "paths live on")


if __name__ == "__main__":
    sys.exit(main())
