#!/usr/bin/python3
"""One of two links fails, comes back, then the other: not one packet is lost. Cut silently, then with loss of carrier."""

import sys

from bed import Bed, check, wait_for


def active_on(tunnel):
    return {path["uplink_name"] for path in tunnel.active()}


def both_see(laptop, office, uplinks, what):
    for tunnel in (laptop, office):
        wait_for(f"{tunnel.host.name}: {what}", lambda: active_on(tunnel) == uplinks)


def main():
    with Bed("pair") as bed:
        laptop, office = bed.attached_pair()
        for inner in ("10.10.0.2", "fd10::2"):
            away, back = ("cut", "restore") if "." in inner else ("carrier-down", "carrier-up")
            pings = laptop.host.pinging(inner, 0.002)
            for link, other in (("eth0", "wlan0"), ("wlan0", "eth0")):
                bed.link(link, away)
                both_see(laptop, office, {other}, f"{link} is down after {away}")
                bed.link(link, back)
                both_see(laptop, office, {link, other}, f"{link} is active again by itself after {back}")
            pings.nothing_lost(2000, f"{away} of each link in turn")
        check(laptop.status()["peers"][0]["handshakes"] == 1, "one handshake for all of it")


if __name__ == "__main__":
    sys.exit(main())
