#!/usr/bin/python3
"""Policy backup: one path carries the data, the other takes over when it fails, and the first comes back."""

import sys
import time

from bed import Bed, check, describe_pings, wait_for

BOUND_S = 2.0


def sending(tunnel):
    return [path["uplink_name"] for path in tunnel.paths() if path["sending"]]


def data_sent(tunnel):
    return {path["uplink_name"]: path["sent_packets"] for path in tunnel.active()}


def main():
    with Bed("pair") as bed:
        laptop, office = bed.pair()
        for tunnel in (laptop, office):
            tunnel.peers[0]["policy"] = "backup"
        office.attach("eth0", "wlan0")
        laptop.attach("eth0", "wlan0")
        for tunnel in (laptop, office):
            tunnel.wait_active(2)
            wait_for(f"{tunnel.host.name}: settled on eth0", lambda: sending(tunnel) == ["eth0"])
        before = data_sent(laptop)
        check(laptop.host.ping("10.10.0.2", 500, 0.002) == 0, "500 pings over eth0")
        used = {name: count - before[name] for name, count in data_sent(laptop).items()}
        check(used["eth0"] >= 500 and used["wlan0"] == 0, f"data packets sent: {used}")

        pings = laptop.host.pinging("10.10.0.2", 0.002, 200)
        start = time.monotonic()
        bed.link("eth0", "cut")
        wait_for("both send on wlan0", lambda: sending(laptop) == ["wlan0"] == sending(office))
        took = time.monotonic() - start
        report = pings.end()
        check(report["longest_gap_s"] <= BOUND_S, 
              f"eth0 cut: wlan0 took over after {took:.2f} s, {describe_pings(report)}")

        pings = laptop.host.pinging("10.10.0.2", 0.002, 200)
        start = time.monotonic()
        bed.link("eth0", "restore")
        wait_for("both send on eth0 again", lambda: sending(laptop) == ["eth0"] == sending(office), 15)
        took = time.monotonic() - start
        pings.nothing_lost(f"eth0 restored, in use again after {took:.2f} s")

        pings = laptop.host.pinging("10.10.0.2", 0.002, 200)
        bed.link("eth0", "carrier-down")
        wait_for("both send on wlan0", lambda: sending(laptop) == ["wlan0"] == sending(office))
        report = pings.end()
        # The kernel reports a carrier at most once a second; silence is noticed by then at the latest.
        check(report["longest_gap_s"] <= 1.0, f"eth0 lost its carrier: {describe_pings(report)}")


if __name__ == "__main__":
    sys.exit(main())
