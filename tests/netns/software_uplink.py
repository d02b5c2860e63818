#!/usr/bin/python3
"""Devices of software hand over packets in trains: mode auto takes them through UDP sockets, and TCP flows in bulk; mode
xdp is refused where there is no native XDP, and says what to do."""

import sys

from bed import Bed, check


def bulk(bed, laptop, office, device, kind):
    for tunnel in (office, laptop):
        tunnel.attach(device)
    laptop.wait_active(1)
    office.wait_active(1)
    for tunnel in (laptop, office):
        uplink = tunnel.status()["uplinks"][0]
        check(uplink["mode"] == "udp" and "software" in uplink["reason"],
              f"{kind}, {tunnel.host.name}: {uplink['mode']}: {uplink['reason']}")
    report = bed.iperf(laptop.host, office.host, "10.10.0.2", "-t", "2")
    rate = report["end"]["sum_received"]["bits_per_second"] / 1e6
    check(rate > 100, f"{kind}: TCP at {rate:.0f} Mbit/s")
    total = office.status()["total"]
    sent = laptop.total("sent")
    received = office.received()
    check(total["bad_tag"] == total["malformed"] == 0, f"{kind}: no packet was damaged")
    # A busy machine may let a socket's buffer overflow for a moment.
    check(received >= 0.999 * sent, f"{kind}: {received} packets received, {sent} had been sent")
    for tunnel in (laptop, office):
        tunnel.stop()
        tunnel.nothing_left()


def main():
    with Bed("pair", "--direct") as bed:
        laptop, office = bed.pair(endpoints=["10.9.0.2:5820", "10.2.0.2:5820"], mode="auto")
        laptop.host.add_macvlan("10.9.0.1/24")
        office.host.add_macvlan("10.9.0.2/24")
        bulk(bed, laptop, office, "upper0", "macvlan on veth")
        bulk(bed, laptop, office, "wlan0", "veth")

        laptop.options["mode"] = "xdp"
        laptop.configure()
        answer = laptop.host.centipede("attach", "upper0", check=False)
        said = (answer.stdout + answer.stderr).strip().splitlines()[-1]
        check(answer.returncode == 1 and "native" in said and 'mode = "auto"' in said, f"mode xdp: {said}")
        laptop.nothing_left()


if __name__ == "__main__":
    sys.exit(main())
