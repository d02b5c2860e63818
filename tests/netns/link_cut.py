#!/usr/bin/python3
"""One of two links fails, comes back, then the other: not one packet is lost. Silently, then with loss of carrier."""

import sys
import time

from bed import Bed, check, wait_for


def uplinks_in(tunnel, *states):
    return {path["uplink_name"] for path in tunnel.paths() if path["state"] in states}


def gone(tunnel, link):
    return link not in uplinks_in(tunnel, "active", "degraded")


def main():
    with Bed("pair") as bed:
        laptop, office = bed.attached_pair()
        for inner in ("10.10.0.2", "fd10::2"):
            away, back = ("cut", "restore") if "." in inner else ("carrier-down", "carrier-up")
            pings = laptop.host.pinging(inner, 0.002, 2000)
            for link in ("eth0", "wlan0"):
                bed.link(link, away)
                for tunnel in (laptop, office):
                    wait_for(f"{tunnel.host.name}: {link} is down after {away}", lambda: gone(tunnel, link))
                bed.link(link, back)
                start = time.monotonic()
                for tunnel in (laptop, office):
                    wait_for(f"{tunnel.host.name}: {link} is active again after {back}",
                             lambda: uplinks_in(tunnel, "active") == {"eth0", "wlan0"}, 20)
                check(True, f"{link}: {away}, down, {back}, active again after {time.monotonic() - start:.2f} s")
            pings.nothing_lost(f"{away} of each link in turn")
        check(laptop.status()["peers"][0]["handshakes"] == 1, "one handshake for all of it")


if __name__ == "__main__":
    sys.exit(main())
