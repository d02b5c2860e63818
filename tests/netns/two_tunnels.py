#!/usr/bin/python3
"""Two tunnels that are attached at the same moment share an uplink; one that wants what another has is refused with the
reason, and none of them notices the others' ends."""

import sys

from bed import Bed, check, wait_for


def ends(tunnel):
    wait_for(f"{tunnel.name} has ended", lambda: tunnel.daemon.poll() is not None)
    return tunnel.daemon.returncode, tunnel.log.read_text().strip().splitlines()[-1]


def main():
    with Bed("pair") as bed:
        hosts = [bed.host("laptop"), bed.host("office")]
        both = []
        for number in range(2):
            laptop, office = (bed.tunnel(host, [f"10.{10 + number}.0.{end}/24"], f"cp{number}")
                              for end, host in enumerate(hosts, 1))
            laptop.options["listen_port"] = office.options["listen_port"] = 5820 + number
            laptop.add_peer(office, endpoints=[f"10.1.0.2:{5820 + number}"])
            office.add_peer(laptop)
            both.append((laptop, office))
        for tunnel in (*both[0], *both[1]):
            tunnel.options["mode"] = "udp"
            tunnel.attach("eth0", wait=False)
        for number, (laptop, office) in enumerate(both):
            for tunnel in (laptop, office):
                wait_for(f"{tunnel.host.name}: {tunnel.name} answers", tunnel.status_or_none)
            laptop.wait_active(1)
            check(laptop.host.ping(f"10.{10 + number}.0.2") == 0, f"{laptop.name} carries packets over eth0")
        pings = hosts[0].pinging("10.10.0.2", 0.005, 300)

        same_port = bed.tunnel(hosts[0], ["10.12.0.1/24"], "cp2")
        same_port.attach("eth0", wait=False)
        code, last = ends(same_port)
        check(code == 1 and "5820" in last and "eth0" in last, f"a third with the port of the first: {last}")

        # Where the kernel lets them share the device, both get in; else one.
        twins = [bed.tunnel(hosts[0], [f"10.{number}.0.1/24"], f"cp{number}") for number in (13, 14)]
        for tunnel in twins:
            tunnel.options.update(mode="xdp", listen_port=5800 + int(tunnel.name[2:]))
            tunnel.attach("wlan0", wait=False)
        for tunnel in twins:
            wait_for(f"{tunnel.name} runs or has ended",
                     lambda tunnel=tunnel: tunnel.daemon.poll() is not None or tunnel.ask("status").returncode == 0)
        running = [tunnel for tunnel in twins if tunnel.daemon.poll() is None]
        refused = [ends(tunnel) for tunnel in twins if tunnel not in running]
        check(running and all(code == 1 and "wlan0" in last for code, last in refused),
              f"of two that want XDP on one device {len(running)} run; {refused}")
        for tunnel in running:
            tunnel.stop()
        both[1][0].stop()
        both[1][1].stop()
        pings.nothing_lost("the others' coming and going")
        for tunnel in both[0]:
            tunnel.stop()
            tunnel.nothing_left()


if __name__ == "__main__":
    sys.exit(main())
