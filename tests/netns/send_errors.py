#!/usr/bin/python3
"""Sending fails on one link for one reason after the other: counted there, nothing lost over the other link. Then it
fails on both: the daemons stay, and the tunnel is back when the reason is gone."""

import sys

from bed import Bed, check, json, wait_for

NETWORKS = {"eth0": "fd01::/64", "wlan0": "fd02::/64"}
RULES = """table inet broken {{
  chain out {{
    type filter hook output priority 0
    oifname {{ {devices} }} udp dport 5820 drop
  }}
}}
"""


def forbid(host, *devices):
    """The kernel answers EPERM."""
    host.run("nft", "-f", "-", input=RULES.format(devices=", ".join(f'"{device}"' for device in devices)))


def allow(host, *_):
    host.run("nft", "delete", "table", "inet", "broken")


def unroute(host, *devices):
    """ENETUNREACH, of IPv6 alone: over IPv4 a device without a route is taken to be one network."""
    for device in devices:
        host.run("ip", "-6", "route", "delete", NETWORKS[device], "dev", device)


def route(host, *devices):
    for device in devices:
        host.run("ip", "-6", "route", "add", NETWORKS[device], "dev", device)


def narrow(host, *devices):
    """Outer packets no longer fit: fragments, and no segmented sends."""
    for device in devices:
        host.run("ip", "link", "set", device, "mtu", "1280")


def widen(host, *devices):
    for device in devices:
        host.run("ip", "link", "set", device, "mtu", "1500")


def clog(host, *devices):
    """The queue of the device is full nearly always: ENOBUFS, of which the kernel tells the sender of UDP nothing."""
    for device in devices:
        host.run("tc", "qdisc", "replace", "dev", device, "root", "tbf", "rate", "64kbit", "burst", "1600", "limit",
                 "3200")


def unclog(host, *devices):
    for device in devices:
        host.run("tc", "qdisc", "delete", "dev", device, "root")


def dropped(host, device):
    """By the device's queue."""
    return json.loads(host.run("tc", "-s", "-j", "qdisc", "show", "dev", device).stdout)[0]["drops"]


def errors(tunnel, *uplinks):
    return sum(path["send_errors"] for path in tunnel.paths() if path["uplink_name"] in uplinks)


def on_both(bed, laptop, office, begin, end):
    begin(laptop.host, "eth0", "wlan0")
    check(laptop.host.ping("10.10.0.2", 50, 0.02, wait=0.2) == 50, f"{begin.__name__} on both links: nothing passes")
    end(laptop.host, "eth0", "wlan0")
    wait_for("pings again", lambda: laptop.host.ping("10.10.0.2", 1, wait=0.1) == 0, 3)
    for tunnel in (laptop, office):
        tunnel.wait_active(2)
    check(True, "pings pass again within 3 s")


def main():
    with Bed("pair") as bed:
        laptop, office = bed.pair(endpoints=("[fd01::2]:5820", "[fd02::2]:5820"))
        for tunnel in (office, laptop):
            tunnel.attach("eth0", "wlan0")
        laptop.wait_active(2)
        office.wait_active(2)
        office.host.program("echo", "serve", "10.10.0.2", 5353)
        for begin, end in ((forbid, allow), (unroute, route), (narrow, widen), (clog, unclog)):
            name = begin.__name__
            before = errors(laptop, "eth0")
            pings = laptop.host.pinging("10.10.0.2", 0.005, 300, 1300)
            begin(laptop.host, "eth0")
            if begin in (forbid, unroute):
                wait_for(f"{name}: send errors are counted on eth0", lambda: errors(laptop, "eth0") >= before + 50)
            stream = laptop.host.call("echo", "tcp", "10.10.0.2", 5353, 2_000_000)
            check(stream["same"] == stream["sent"], f"{name} on eth0: TCP, {stream['sent']} bytes there and back")
            if begin is clog:
                check(dropped(laptop.host, "eth0") >= 500, f"{dropped(laptop.host, 'eth0')} packets found no place on eth0")
            end(laptop.host, "eth0")
            for tunnel in (laptop, office):
                tunnel.wait_active(2)
            pings.nothing_lost(f"{name} on eth0, {errors(laptop, 'eth0') - before} errors counted")
        for begin, end in ((forbid, allow), (unroute, route)):
            on_both(bed, laptop, office, begin, end)
        for tunnel in (laptop, office):
            check(tunnel.daemon.poll() is None and tunnel.status()["peers"][0]["handshakes"] == 1,
                  f"{tunnel.host.name}: still the first session")


if __name__ == "__main__":
    sys.exit(main())
