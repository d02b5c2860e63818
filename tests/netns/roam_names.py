#!/usr/bin/python3
"""A tunnel for everything, whose peer is known by name, starts without any network and connects when there is one.

Its devices are named by patterns: they join as they appear. Questions to the name server leave by the uplinks, never
through the tunnel, though the tunnel has the better route. A name that moves while the tunnel works changes nothing;
when all paths are down it is looked up again.
"""

import json
import sys

from bed import Bed, check, wait_for

NAME_SERVER = "198.51.100.53"
ZONE = "/etc/centipede/zone.json"
PATTERNS = {"uplinks": ["wl*", "eth*"], "exclude_uplinks": ["wlan9"], "heartbeat_ms": 100}


def say(office, *addresses):
    office.host.write(ZONE, json.dumps({"office.test": addresses}))


def gain(host, device, gateway):
    """As a DHCP client does it."""
    host.run("ip", "link", "set", device, "up")
    host.run("ip", "route", "replace", "default", "via", gateway, "dev", device, "metric",
             100 if device == "eth0" else 200)


def uplinks(tunnel):
    return sorted(uplink["name"] for uplink in tunnel.status()["uplinks"])


def connect(bed):
    laptop, office = bed.pair(endpoints=["office.test:5820"], **PATTERNS)
    laptop.peers[0]["allowed_ips"] = ["0.0.0.0/0", "::/0"]
    office.host.run("ip", "address", "add", NAME_SERVER, "dev", "lo")
    laptop.host.write("/etc/centipede/resolv.conf", f"nameserver {NAME_SERVER}\n", 0o644)
    laptop.host.run("mount", "--bind", "/etc/centipede/resolv.conf", "/etc/resolv.conf")
    for device in ("eth0", "wlan0"):
        laptop.host.run("ip", "link", "set", device, "down")
    office.attach()
    laptop.attach()
    check(uplinks(laptop) == [], "the tunnel starts without a device to send over")
    into_tunnel = laptop.host.capture("cp0", "udp port 53")
    gain(laptop.host, "wlan0", "10.2.0.2")
    wait_for("the log says what is missing", lambda: "resolving office.test: " in laptop.log.read_text())
    check(uplinks(laptop) == ["wlan0"], "the device that appears joins")
    say(office, "10.2.0.2", "fd99::1", "127.0.0.1")
    office.host.program("name_server", NAME_SERVER, ZONE)
    for tunnel in (laptop, office):
        tunnel.wait_active(1)
    wait_for("connected once the name resolves", lambda: laptop.host.ping("10.10.0.2") == 0)
    return laptop, office, into_tunnel


def added_by_name(laptop, office):
    """A peer that comes right behind another change is looked up all the same. With none beside it, nothing else wakes
    the tunnel."""
    add = ("peer", "add", office.public_key, "--name", "office", "--allowed-ips", "10.10.0.2/32",
           "--endpoint", "office.test:5820")
    for words in (("peer", "remove", "office"), add, ("peer", "remove", "office"), add):
        check(laptop.ask(*words).returncode == 0, f"centipede {' '.join(words[:2])}")
    # Seen in the log: to ask the tunnel would wake it.
    wait_for("it is looked up and called", lambda: "session" in laptop.log.read_text().rpartition("peer office: added")[2])


def main():
    with Bed("pair") as bed:
        laptop, office, into_tunnel = connect(bed)
        pings = laptop.host.pinging("10.10.0.2", 0.01, 20)
        say(office, "10.1.0.2")
        gain(laptop.host, "eth0", "10.1.0.2")
        wait_for("eth0 joins", lambda: uplinks(laptop) == ["eth0", "wlan0"])
        laptop.host.run("ip", "link", "add", "wlan9", "type", "veth", "peer", "name", "other")
        laptop.host.run("ip", "link", "set", "wlan9", "up")
        laptop.host.run("ip", "link", "set", "other", "name", "ethernet")
        laptop.host.run("ip", "link", "set", "ethernet", "up")
        wait_for("a device that was given a matching name joins, one that is excluded does not",
                 lambda: uplinks(laptop) == ["eth0", "ethernet", "wlan0"])
        laptop.host.run("ip", "link", "del", "wlan9")
        wait_for("it leaves when it goes", lambda: uplinks(laptop) == ["eth0", "wlan0"])
        pings.nothing_lost("the name has moved, devices came and went")
        check({path["remote"] for path in laptop.active()} == {"10.2.0.2:5820"}, "the path that works is kept")
        laptop.host.run("ip", "link", "set", "wlan0", "down")
        wait_for("a path to where the name has moved",
                 lambda: {path["remote"] for path in laptop.active()} == {"10.1.0.2:5820"})
        wait_for("the name was looked up again when all paths were down", lambda: laptop.host.ping("10.10.0.2") == 0)
        asked = into_tunnel.end()
        check(asked == [], f"no question went into the tunnel: {asked}")
        added_by_name(laptop, office)
        check(laptop.ask("detach", "eth0").returncode == 0 and uplinks(laptop) == ["wlan0"],
              "detaching the device of a pattern keeps it out")
        check(laptop.ask("attach", "eth0").returncode == 0, "until it is attached by name")
        laptop.wait_active(1)
        laptop.stop()


if __name__ == "__main__":
    sys.exit(main())
