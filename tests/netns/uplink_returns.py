#!/usr/bin/python3
"""An uplink's device vanishes and comes back, on the laptop with a new address: it rejoins, nothing is lost."""

import sys

from bed import Bed, check, wait_for


def main():
    with Bed("pair") as bed:
        laptop, office = bed.attached_pair()
        pings = laptop.host.pinging("10.10.0.2", 0.002, 2000)

        bed.link("wlan0", "unplug", "laptop")
        wait_for("laptop: wlan0 is not usable",
                 lambda: not [one for one in laptop.status()["uplinks"] if one["name"] == "wlan0"][0]["usable"])
        bed.link("wlan0", "plug", "laptop", "10.2.0.77/24")
        wait_for("laptop: active from its new address",
                 lambda: "10.2.0.77" in {path["local"] for path in laptop.active()}, 15)
        wait_for("office: learned the new address",
                 lambda: "10.2.0.77:5820" in {path["remote"] for path in office.active()}, 15)
        check(True, "laptop's wlan0 came back as 10.2.0.77, the office learned it from heartbeats")

        card = office.host.run("cat", "/sys/class/net/wlan0/address").stdout.strip()
        bed.link("wlan0", "unplug", "office")
        wait_for("office: one path", lambda: len(office.active()) == 1)
        wait_for("laptop: one path", lambda: len(laptop.active()) == 1)
        bed.link("wlan0", "plug", "office")
        office.host.run("ip", "link", "set", "wlan0", "address", card)  # the same card, so neighbours find it
        wait_for("office: wlan0 active again", lambda: len(office.active()) == 2, 15)
        wait_for("laptop: wlan0 active again", lambda: len(laptop.active()) == 2, 15)
        check(True, "office's wlan0 came back with its old address")
        pings.nothing_lost("devices deleted and created again")
        check(laptop.status()["peers"][0]["handshakes"] == 1, "still the first session")
        used = {path["uplink_name"]: path["sent_packets"] for path in laptop.active()}
        check(laptop.host.ping("10.10.0.2", 100) == 0, "100 pings more")
        now = {path["uplink_name"]: path["sent_packets"] for path in laptop.active()}
        check(all(now[name] >= used[name] + 100 for name in ("eth0", "wlan0")), f"both uplinks carry data: {now}")
        for uplink in laptop.status()["uplinks"] + office.status()["uplinks"]:
            check(uplink["mode"] in (("udp",) if laptop.options["mode"] == "udp" else ("native", "native/zero-copy")),
                  f"{uplink['name']} receives in mode {uplink['mode']}")


if __name__ == "__main__":
    sys.exit(main())
