#!/usr/bin/python3
"""The outer network is IPv6 alone: everything works as over IPv4, packets of full size included."""

import sys

from bed import Bed, check


def main():
    with Bed("pair") as bed:
        laptop, office = bed.pair(endpoints=["[fd01::2]:5820", "[fd02::2]:5820"])
        for tunnel in (laptop, office):
            for device in ("eth0", "wlan0"):
                tunnel.host.run("ip", "-4", "address", "flush", "dev", device)
        office.attach("eth0", "wlan0")
        laptop.attach("eth0", "wlan0")
        laptop.wait_active(2)
        office.wait_active(2)
        check(all(path["remote"].startswith("[fd0") for path in laptop.active() + office.active()), "all paths: IPv6")
        mtu = laptop.status()["mtu"]
        for address, header in (("10.10.0.2", 28), ("fd10::2", 48)):
            check(laptop.host.ping(address, 1000, 0.002) == 0, f"1000 pings to {address}")
            whole = ("ping", "-q", "-n", "-c", 50, "-i", 0.01, "-M", "do", "-s", mtu - header, address)
            check(" 50 received" in laptop.host.run(*whole).stdout, f"50 pings of {mtu} bytes, the MTU, to {address}")
            report = bed.iperf(laptop.host, office.host, address, "-t", "1")
            received = report["end"]["sum_received"]["bytes"]
            check(received > 1_000_000, f"TCP: {received} bytes")
        for tunnel in (laptop, office):
            status = tunnel.status()["total"]
            check(status["bad_tag"] == status["send_failed"] == status["malformed"] == 0,
                  f"{tunnel.host.name}: {status['sealed']} sealed, {status['sent']} sent, nothing refused")


if __name__ == "__main__":
    sys.exit(main())
