#!/usr/bin/python3
"""Every link is gone for a while, unreported and then reported: the tunnel is back within 3 s of the links.

CENTIPEDE_TEST_LONG=1: gone for ten minutes.
"""

import sys
import time

from bed import LONG, Bed, check, check_quietly, wait_for

BOUND_S = 3
OUTAGES = (("cut", "restore", 600 if LONG else 12), ("carrier-down", "carrier-up", 600 if LONG else 3))


def main():
    with Bed("pair") as bed:
        laptop, office = bed.attached_pair()
        for away, back, seconds in OUTAGES:
            bed.link("all", away)
            time.sleep(seconds)
            for tunnel in (laptop, office):
                check_quietly(tunnel.status_or_none() and not tunnel.active(), f"{tunnel.host.name}: no path is active")
            bed.link("all", back)
            start = time.monotonic()
            wait_for(f"a ping after {seconds} s without any link",
                     lambda: laptop.host.ping("10.10.0.2", 1, wait=0.1) == 0, 60)
            took = time.monotonic() - start
            check(took <= BOUND_S, f"{away} of all links for {seconds} s, {back}: first ping after {took:.2f} s")
            for tunnel in (laptop, office):
                tunnel.wait_active(2)
            check(laptop.host.ping("10.10.0.2", 100) == 0, "100 pings, none lost")


if __name__ == "__main__":
    sys.exit(main())
