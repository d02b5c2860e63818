#!/usr/bin/python3
"""An attacker on one link sends a damaged copy of every packet, ahead of all genuine ones: nothing is lost.

The copy has the true outer headers and the true 32 bytes of ours; only behind them a bit is wrong.
"""

import sys

from bed import Bed, check

ETHERNET, UDP, OURS = 14, 8, 32


def scenario(outer_header, endpoints):
    with Bed("pair") as bed:
        laptop, office = bed.pair(endpoints=endpoints)
        office.attach("eth0", "wlan0")
        laptop.attach("eth0", "wlan0")
        laptop.wait_active(2)
        bed.link("eth0", "set", "both", "delay=20ms")
        offset = ETHERNET + outer_header + UDP + OURS
        bed.link("wlan0", "set", "both", "delay=25ms", "corrupt_copy=yes", f"corrupt_offset={offset}")
        before = {tunnel: tunnel.total("bad_tag") for tunnel in (laptop, office)}
        pings = laptop.host.pinging("10.10.0.2", 0.002, 2000)
        report = bed.flow(laptop.host, office.host, "fd10::2", 2000, 500, size=1000)
        pings.nothing_lost(f"damaged copies first, outer {endpoints[0]}")
        check(report["received"] == 2000 and report["duplicates"] == 0, f"one way: {report} of 2000")
        for tunnel in (laptop, office):
            refused = tunnel.total("bad_tag") - before[tunnel]
            check(refused >= 1000, f"{tunnel.host.name}: {refused} damaged copies refused for their tag")


def main():
    scenario(20, ["10.1.0.2:5820", "10.2.0.2:5820"])
    scenario(40, ["[fd01::2]:5820", "[fd02::2]:5820"])


if __name__ == "__main__":
    sys.exit(main())
