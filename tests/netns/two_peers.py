#!/usr/bin/python3
"""One office, two peers: each sees only its own packets, and none can speak for the other."""

import sys

from bed import Bed, check, wait_for


def main():
    with Bed("gateway") as bed:
        office = bed.tunnel(bed.host("office"), ["10.10.0.2/24", "fd10::2/64"])
        laptop = bed.tunnel(bed.host("laptop"), ["10.10.0.1/24", "fd10::1/64"])
        phone = bed.tunnel(bed.host("phone"), ["10.10.0.3/24", "fd10::3/64"])
        for tunnel in (office, laptop, phone):
            tunnel.options["routes"] = True
        laptop.add_peer(office, ["10.10.0.0/24", "fd10::/64"], ["10.1.0.2:5820", "10.2.0.2:5820"])
        phone.add_peer(office, ["10.10.0.0/24", "fd10::/64"], ["10.3.0.2:5820", "10.4.0.2:5820"])
        office.add_peer(laptop)
        office.add_peer(phone)
        office.attach("eth0", "wlan0", "eth1", "wlan1")
        for tunnel in (laptop, phone):
            tunnel.attach("eth0", "wlan0")
        for tunnel in (laptop, phone):
            tunnel.wait_active(2)
            office.wait_active(2, tunnel.host.name)

        heard = {tunnel: tunnel.host.capture("cp0", "ip or ip6") for tunnel in (laptop, phone)}
        pings = [tunnel.host.pinging(address, 0.005)
                 for tunnel in (laptop, phone) for address in ("10.10.0.2", "fd10::2")]
        spoofed = 200
        before = office.total("bad_source")
        laptop.host.run("ip", "address", "add", "10.10.0.3/32", "dev", "lo")
        laptop.host.run("ip", "address", "add", "fd10::3/128", "dev", "lo")
        for source, target in (("10.10.0.3", "10.10.0.2"), ("fd10::3", "fd10::2")):
            forged = ("ping", "-q", "-c", spoofed, "-i", "0.002", "-W", "1", "-I", source, target)
            answer = laptop.host.run(*forged, check=False)
            check(" 0 received" in answer.stdout, f"{spoofed} pings from {source}, which is the phone's: none answered")
        laptop.host.run("ip", "address", "del", "10.10.0.3/32", "dev", "lo")
        laptop.host.run("ip", "address", "del", "fd10::3/128", "dev", "lo")
        counted = office.total("bad_source") - before
        check(counted == 2 * spoofed, f"the office counted {counted} packets with a false source")
        for ping in pings:
            ping.nothing_lost("the peers' own pings meanwhile")
        for tunnel, own, other in ((laptop, "10.10.0.1", "10.10.0.3"), (phone, "10.10.0.3", "10.10.0.1")):
            lines = heard[tunnel].end()
            if tunnel is laptop:  # its own forgeries on their way out
                lines = [line for line in lines if "10.10.0.3 > " not in line and "fd10::3 > " not in line]
            own6, other6 = (address.replace("10.10.0.", "fd10::") for address in (own, other))
            foreign = [line for line in lines if other in line or f"{other6} " in line or f"{other6}:" in line]
            check(len(lines) > 200 and not foreign,
                  f"{tunnel.host.name}: {len(lines)} packets seen, {len(foreign)} foreign {foreign[:3]}")

        check(laptop.host.ping("10.10.0.3", 20, wait=1) == 20, "without forwarding the laptop does not reach the phone")
        office.host.run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
        wait_for("routed through the office", lambda: laptop.host.ping("10.10.0.3", 1, wait=1) == 0)
        check(laptop.host.ping("10.10.0.3", 200) == 0, "with forwarding: 200 pings from laptop to phone")
        for tunnel in (laptop, phone):
            tunnel.stop()
        check(office.daemon.poll() is None, "the office runs on without its peers")


if __name__ == "__main__":
    sys.exit(main())
