#!/usr/bin/python3
"""The called side loses an uplink's device and gets it back with another address, which no file names: it finds the
caller again by itself, and nothing is lost."""

import sys
import time

from bed import Bed, check, wait_for

BOUND_S = 2


def remotes(tunnel):
    return {path["remote"] for path in tunnel.active()}


def main():
    with Bed("pair") as bed:
        laptop, office = bed.attached_pair()
        pings = laptop.host.pinging("10.10.0.2", 0.002, 2000)
        bed.link("wlan0", "unplug", "office")
        for tunnel in (laptop, office):
            wait_for(f"{tunnel.host.name}: one path", lambda: len(tunnel.active()) == 1)
        bed.link("wlan0", "plug", "office", "10.2.0.77/24")
        start = time.monotonic()
        wait_for("laptop: active to the new address", lambda: "10.2.0.77:5820" in remotes(laptop))
        office.wait_active(2)
        took = time.monotonic() - start
        check(took <= BOUND_S, f"office's wlan0 came back as 10.2.0.77, active on both sides after {took:.2f} s")
        pings.nothing_lost("meanwhile over the other link")
        bed.link("eth0", "cut")
        check(laptop.host.ping("10.10.0.2", 200) == 0, "200 pings over the new path alone")
        check(laptop.status()["peers"][0]["handshakes"] == 1, "still the first session")


if __name__ == "__main__":
    sys.exit(main())
