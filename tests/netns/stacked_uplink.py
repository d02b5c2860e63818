#!/usr/bin/python3
"""One uplink is a virtual device on top of a card (MACVLAN): it works like any other, the card's own traffic passes."""

import sys

from bed import Bed, check


def main():
    with Bed("pair") as bed:
        laptop, office = bed.pair(endpoints=["10.9.0.2:5820", "10.2.0.2:5820"], mode="auto")
        laptop.host.add_macvlan("10.9.0.1/24")
        office.host.add_macvlan("10.9.0.2/24")
        office.attach("upper0", "wlan0")
        laptop.attach("upper0", "wlan0")
        laptop.wait_active(2)
        office.wait_active(2)
        pings = laptop.host.pinging("10.10.0.2", 0.002, 1000)
        check(laptop.host.ping("10.10.0.2", 100, size=1392) == 0, "100 pings as large as the MTU")
        for cut, other in (("wlan0", "upper0"), ("eth0", "wlan0")):
            bed.link(cut, "cut")
            check(laptop.host.ping("10.10.0.2", 200, 0.005) == 0, f"200 pings over {other} alone")
            bed.link(cut, "restore")
            laptop.wait_active(2, seconds=15)
            office.wait_active(2, seconds=15)
        pings.nothing_lost("one ping all the time")
        check(laptop.host.ping("10.1.0.2", 100) == 0, "100 pings on eth0 itself, below the uplink")
        modes = {uplink["name"]: uplink["mode"] for uplink in office.status()["uplinks"]}
        check(modes == {"upper0": "udp", "wlan0": "udp"}, f"receive modes: {modes}")
        laptop.stop()
        office.stop()
        laptop.nothing_left()
        office.nothing_left()


if __name__ == "__main__":
    sys.exit(main())
