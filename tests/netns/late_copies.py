#!/usr/bin/python3
"""Copies that arrive behind the first one die in the XDP program, before they cost a worker anything."""

import sys

from bed import Bed, check

COUNT = 5000


def main():
    with Bed("pair") as bed:
        laptop, office = bed.attached_pair()
        bed.link("wlan0", "set", "both", "delay=5ms")
        pings = laptop.host.pinging("10.10.0.2", 0.001, 2000)
        report = bed.flow(laptop.host, office.host, "10.10.0.2", COUNT, 2000, size=1200)
        pings.nothing_lost("pings beside the stream")
        check(report["received"] == COUNT and report["duplicates"] == 0, f"one way: {report} of {COUNT}")
        for tunnel in (laptop, office):
            name = tunnel.host.name
            early = tunnel.xdp("duplicate") + tunnel.xdp("too_old")
            late = tunnel.total("duplicate") + tunnel.total("too_old")
            check(early + late > 3000, f"{name}: {early} copies dropped in XDP, {late} in workers")
            check(early >= 0.9 * (early + late), f"{name}: {100 * early / (early + late):.1f} % dropped in XDP")
            slow = [path for path in tunnel.paths() if path["uplink_name"] == "wlan0" and path["duplicates_early"]]
            shown = sum(path["duplicates_early"] for path in slow)
            check(shown >= 0.9 * early, f"{name}: status shows {shown} of them on the slow path")


if __name__ == "__main__":
    sys.exit(main())
