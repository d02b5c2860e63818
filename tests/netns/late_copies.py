#!/usr/bin/python3
"""Copies that arrive behind the first one die in the XDP program, before they cost a worker anything."""

import sys

from bed import Bed, check

COUNT = 5000


def main():
    with Bed("pair") as bed:
        laptop, office = bed.attached_pair()
        bed.link("wlan0", "set", "both", "delay=20ms")  # more than a busy machine keeps a worker waiting
        pings = laptop.host.pinging("10.10.0.2", 0.001, 2000)
        report = bed.flow(laptop.host, office.host, "10.10.0.2", COUNT, 2000, size=1200)
        pings.nothing_lost("pings beside the stream")
        check(report["received"] == COUNT and report["duplicates"] == 0, f"one way: {report} of {COUNT}")
        for tunnel in (laptop, office):
            name = tunnel.host.name
            early = tunnel.xdp("duplicate") + tunnel.xdp("too_old")
            late = tunnel.total("duplicate") + tunnel.total("too_old")
            opened = tunnel.total("opened")
            check(opened > 1900 and early + late >= 0.95 * opened,
                  f"{name}: of {opened} packets, {early} copies dropped in XDP, {late} in workers")
            check(early >= 0.9 * (early + late), f"{name}: {100 * early / (early + late):.1f} % dropped in XDP")
            shown = {link: sum(path["duplicates_early"] for path in tunnel.paths() if path["uplink_name"] == link)
                     for link in ("eth0", "wlan0")}
            dropped = {link: tunnel.xdp("duplicate", link) + tunnel.xdp("too_old", link) for link in shown}
            check(shown == dropped, f"{name}: status shows them on the paths that brought them: {shown}")
            check(shown["wlan0"] > shown["eth0"], f"{name}: most of them on the slow one")


if __name__ == "__main__":
    sys.exit(main())
