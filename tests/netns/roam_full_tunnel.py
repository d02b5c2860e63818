#!/usr/bin/python3
"""Everything goes through the tunnel, and the laptop moves under it: default routes and addresses come and go, by DHCP
and by router advertisement; a link has a carrier and passes nothing.

Nothing is lost while one link delivers, nothing goes round the tunnel in clear, and the tunnel never carries itself.
"""

import sys
import time

from bed import Bed, check, wait_for

FAR = "203.0.113.7"
FAR6 = "2001:db8:7::7"
OFFICE = {"eth0": "198.51.100.1", "wlan0": "198.51.100.2"}  # its public addresses, behind the laptop's gateways
GATEWAY = {"eth0": "10.1.0.2", "wlan0": "10.2.0.2"}
ADVERTISED = "fd77::/64"
BOUND_S = 3


def default_route(host, device, action):
    host.run("ip", "route", action, "default", "via", GATEWAY[device], "dev", device, "metric",
             100 if device == "eth0" else 200)


def locals_of(tunnel):
    return {path["local"] for path in tunnel.active()}


def moves(bed, laptop, office):
    host = laptop.host
    for device in ("eth0", "wlan0"):
        default_route(host, device, "del")
        wait_for(f"the path over {device} is given up",
                 lambda: device not in {path["uplink"] for path in laptop.active()})
        default_route(host, device, "add")
        laptop.wait_active(2)
    host.run("ip", "address", "del", "10.1.0.1/24", "dev", "eth0")
    host.run("ip", "address", "add", "10.1.0.50/24", "dev", "eth0")
    default_route(host, "eth0", "replace")
    wait_for("a path from the new address", lambda: "10.1.0.50" in locals_of(laptop))
    host.run("sysctl", "-q", "-w", "net.ipv6.conf.eth0.accept_ra=1")
    office.host.call("router_advertisement", "eth0", ADVERTISED, 600)
    wait_for("a path from the advertised prefix",
             lambda: any(local.startswith("fd77:") for local in locals_of(laptop)))
    office.host.call("router_advertisement", "eth0", ADVERTISED, 0)
    wait_for("the deprecated address is given up",
             lambda: not any(path["local"].startswith("fd77:") for path in laptop.paths()))
    bed.link("wlan0", "cut")
    wait_for("a dead link is seen as such", lambda: "wlan0" not in {path["uplink"] for path in laptop.active()})
    bed.link("wlan0", "restore")
    laptop.wait_active(2)


def main():
    with Bed("pair") as bed:
        laptop, office = bed.pair(endpoints=[f"{address}:5820" for address in OFFICE.values()] + ["[fd77::2]:5820"],
                                  heartbeat_ms=100)
        laptop.peers[0]["allowed_ips"] = ["0.0.0.0/0", "::/0"]
        for device, address in OFFICE.items():
            office.host.run("ip", "address", "add", address, "dev", device)
            default_route(laptop.host, device, "add")
        for device, address in (("lo", FAR), ("lo", FAR6), ("eth0", "fd77::2/64")):
            office.host.run("ip", "address", "add", address, "dev", device)
        office.attach("eth0", "wlan0")
        laptop.attach("eth0", "wlan0")
        laptop.wait_active(2)
        in_clear = [laptop.host.capture(device, f"host {FAR} or host {FAR6}") for device in OFFICE]
        loops = laptop.host.capture("cp0", "udp port 5820")
        pings = [laptop.host.pinging(address, 0.005, 100) for address in (FAR, FAR6)]
        moves(bed, laptop, office)
        for one in pings:
            one.nothing_lost("redundant, links and addresses come and go")
        check(laptop.ask("peer", "set", "office", "--policy", "backup").returncode == 0, "policy backup from now on")
        wait_for("one path in use", lambda: len([path for path in laptop.paths() if path["sending"]]) == 1)
        used = next(path["uplink"] for path in laptop.paths() if path["sending"])
        bed.link(used, "cut")
        start = time.monotonic()
        wait_for("pings again", lambda: laptop.host.ping(FAR, 1, wait=0.1) == 0, BOUND_S + 2)
        took = time.monotonic() - start
        check(took <= BOUND_S, f"{used} passes nothing, policy backup: first ping through after {took:.2f} s")
        seen = [line for capture in in_clear + [loops] for line in capture.end()]
        check(seen == [], f"nothing in clear, no loop: {seen[:3]}")


if __name__ == "__main__":
    sys.exit(main())
