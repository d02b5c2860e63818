#!/usr/bin/python3
"""Mode auto receives through native XDP on a device that hardware is behind: two hosts, each with a virtio card.

In an emulated machine whose two cards are joined (see run-in-kernel), needing a build:

    tests/kernel/run-in-kernel --timeout 600 tests/kernel/hardware_uplink.py

CENTIPEDE_BUILD names the build folder (build/release). Without two such cards that nobody uses it ends with 77.
"""

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "netns"))

from bed import Bed, check, run  # noqa: E402


def free_cards():
    """Virtio cards that are down."""
    subprocess.run(["modprobe", "virtio_net"], check=False)
    cards = []
    for folder in sorted(Path("/sys/class/net").iterdir()):
        driver = folder / "device/driver"
        is_up = int((folder / "flags").read_text(), 16) & 1 != 0
        if driver.exists() and driver.resolve().name == "virtio_net" and not is_up:
            cards.append(folder.name)
    return cards


def main():
    cards = free_cards()
    if len(cards) < 2:
        print(f"needs two free virtio cards, found {cards}")
        return 77
    with Bed("pair", "--direct") as bed:
        laptop, office = bed.pair(endpoints=["10.9.0.2:5820"], mode="auto")
        for tunnel, card, last in ((laptop, cards[0], 1), (office, cards[1], 2)):
            run("ip", "link", "set", card, "netns", tunnel.host.pid, "name", "card0")
            tunnel.host.run("ip", "address", "add", f"10.9.0.{last}/24", "dev", "card0")
            tunnel.host.run("ip", "link", "set", "card0", "up")
        print(laptop.host.centipede("doctor", "card0", check=False).stdout, flush=True)
        for tunnel in (office, laptop):
            tunnel.attach("card0")
        for tunnel in (laptop, office):
            tunnel.wait_active(1, seconds=60)
            uplink = tunnel.status()["uplinks"][0]
            check(uplink["mode"].startswith("native") and uplink["reason"] == "",
                  f"{tunnel.host.name} receives by {uplink['mode']}")
        check(laptop.host.ping("10.10.0.2", 100, 0.02) == 0, "100 pings through the tunnel")
        report = bed.iperf(laptop.host, office.host, "10.10.0.2", "-t", "3")
        check(report["end"]["sum_received"]["bytes"] > 1_000_000,
              f"TCP: {report['end']['sum_received']['bits_per_second'] / 1e6:.0f} Mbit/s")
        total = office.status()["total"]
        check(total["received_xdp"] >= total["delivered"] > 100 and total["bad_tag"] == 0,
              f"{total['received_xdp']} datagrams came in through XDP")
        for tunnel in (laptop, office):
            tunnel.stop()
            tunnel.nothing_left()
    return 0


if __name__ == "__main__":
    sys.exit(main())
