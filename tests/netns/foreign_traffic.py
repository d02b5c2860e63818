#!/usr/bin/python3
"""What is not ours passes: UDP, TCP and ICMP on the same uplink, byte by byte, while the tunnel works beside them."""

import sys

from bed import MODE, Bed, check

DATAGRAMS = 2000
GARBAGE = 3000


def main():
    with Bed("pair") as bed:
        laptop, office = bed.attached_pair()
        before = office.xdp("foreign", "eth0")
        pings = laptop.host.pinging("10.10.0.2", 0.002, 1000)
        for address in ("10.1.0.2", "fd01::2"):
            office.host.program("echo", "serve", address, 5353)
            datagrams = laptop.host.call("echo", "udp", address, 5353, DATAGRAMS)
            check(datagrams["same"] == DATAGRAMS, f"{DATAGRAMS} random datagrams to {address} and back, all equal")
            stream = laptop.host.call("echo", "tcp", address, 5353, 4_000_000)
            check(stream["same"] == stream["sent"], f"{stream['sent']} bytes of TCP to {address} and back, all equal")
            check(laptop.host.ping(address, 500, 0.002) == 0, f"500 pings to {address} outside the tunnel")
        laptop.host.run("python3", "-c", f"""
import os, random, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range({GARBAGE}):
    s.sendto(os.urandom(random.randrange(1400)), ("10.1.0.2", 5820))
""")
        pings.nothing_lost(f"in the tunnel meanwhile, with {GARBAGE} datagrams of garbage to its port")
        check(office.daemon.poll() is None and len(office.active()) == 2, "the office stands")
        if MODE == "xdp":
            passed = office.xdp("foreign", "eth0") - before
            check(passed >= 2 * (DATAGRAMS + 500), f"{passed} frames passed as foreign on eth0")


if __name__ == "__main__":
    sys.exit(main())
