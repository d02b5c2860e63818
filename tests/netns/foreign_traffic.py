#!/usr/bin/python3
"""What is not ours passes: UDP, TCP and ICMP on the same uplink, byte by byte, while the tunnel works beside them; and what
the office only forwards, from and to the same port number of other hosts."""

import sys

from bed import MODE, Bed, check

DATAGRAMS = 2000
GARBAGE = 3000


PORT = 5820


def beside():
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


def forwarded():
    """The laptop's eth0 is no uplink, the phone has no tunnel; between them is the office, with uplinks towards both."""
    with Bed("gateway") as bed:
        laptop, office = bed.pair(endpoints=("10.2.0.2:5820",))
        phone = bed.host("phone")
        office.host.run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        for host, device, here, there in ((laptop.host, "eth0", 1, 3), (phone, "eth0", 3, 1)):
            host.run("ip", "route", "add", f"10.{there}.0.0/24", "via", f"10.{here}.0.2", "dev", device)
            host.run("ip", "route", "add", f"fd0{there}::/64", "via", f"fd0{here}::2", "dev", device)
        office.attach("eth0", "wlan0", "eth1")
        laptop.attach("wlan0")
        laptop.wait_active(1)
        pings = laptop.host.pinging("10.10.0.2", 0.005, 100)
        for address in ("10.3.0.1", "fd03::1"):
            for port, source_port in ((PORT, 0), (PORT, PORT), (7000, PORT)):
                server = phone.program("echo", "serve", address, port)
                done = laptop.host.call("echo", "lookalikes", address, port, "eth0", source_port)
                check(done["same"] == done["sent"] == 1200, f"through the office, port {source_port or 'any'} to "
                      f"{address} port {port}: {done['same']} of {done['sent']} there and back, all equal")
                server.kill()
                server.wait(10)
        pings.nothing_lost("in the tunnel meanwhile")


def main():
    beside()
    forwarded()


if __name__ == "__main__":
    sys.exit(main())
