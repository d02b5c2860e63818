#!/usr/bin/python3
"""`dns` under each manager of resolv.conf that Debian has, in the sandbox of the service: the system asks the tunnel's
name servers while the service runs, those before it afterwards; a peer is found by its name all the while. Arguments choose among the managers' packages.

On one machine that systemd runs (roots.py), its peer in the bed; some two minutes, for the packages of the managers.

Once before: tools/install-dependencies build demo package
"""

import json
import sys
from pathlib import Path

from roots import build_package, machines
from bed import Bed, check, check_quietly, wait_for  # found by roots
from service import Service

INSIDE = "10.10.0.53"
NAME = "office.test"
ZONE = "/etc/centipede/zone.json"


class Manager:
    """The machine's resolv.conf, and what stands there."""

    package = ""

    def __init__(self, machine):
        self.machine = machine
        machine.shell("rm -f /etc/resolv.conf*")
        machine.write("/etc/resolv.conf", Path("/etc/resolv.conf").read_bytes())
        machine.run("apt-get", "install", "--yes", self.package, network="machine", timeout=300)
        self.uplinks_servers()

    def uplinks_servers(self):
        for uplink, server in (("eth0", "10.1.0.2"), ("wlan0", "10.2.0.2")):
            self.machine.run("resolvconf", "-a", uplink, input=f"nameserver {server}\n")

    def asked(self):
        """The first name server of the system."""
        servers = [line.split()[1] for line in self.machine.shell("cat /etc/resolv.conf").splitlines()
                   if line.startswith("nameserver")]
        return servers[0] if servers else None

    def close(self):
        self.machine.run("apt-get", "purge", "--yes", self.package, network="machine", timeout=100)


class Openresolv(Manager):
    package = "openresolv"


class Resolvconf(Manager):
    package = "resolvconf"


class Resolved(Manager):
    package = "systemd-resolved"

    def uplinks_servers(self):
        self.machine.run("systemctl", "restart", "dbus.socket", "systemd-resolved")  # its package waits for a boot
        wait_for("systemd-resolved runs", lambda: self.machine.run("resolvectl", "dns", "eth0", "10.1.0.2", "10.2.0.2",
                                                                   check=False).returncode == 0)

    def asked(self):
        shown = self.machine.run("resolvectl", "dns", "cp0", check=False).stdout.strip()
        return INSIDE if shown.endswith(INSIDE) else "10.1.0.2"


def alarming(service):
    return service.journal("-p", "0..4")


def under(manager, service):
    what = manager.package
    check_quietly(manager.asked() == "10.1.0.2", f"{what}: an uplink's server at first, not {manager.asked()}")
    service.tunnel.options["dns"] = [INSIDE]
    service.configure()
    service.systemctl("start")
    wait_for(f"{what}: the tunnel's server", lambda: manager.asked() == INSIDE)
    service.wait_active()  # its peer's name was asked for with the tunnel's server in force
    check(not alarming(service), f"{what}: the tunnel's name server is asked, and nothing to warn of: {alarming(service)}")
    service.machine.run("kill", "-9", service.pid())
    wait_for(f"{what}: killed and started", lambda: service.property("NRestarts") == "1" and service.is_("active"))
    wait_for(f"{what}: the tunnel's server", lambda: manager.asked() == INSIDE)
    del service.tunnel.options["dns"]
    service.configure()
    service.systemctl("restart")
    check(manager.asked() == "10.1.0.2", f"{what}: restarted without `dns`: asked is {manager.asked()}")
    service.tunnel.options["dns"] = [INSIDE]
    service.configure()
    for _ in range(5):
        service.systemctl("restart")
        check_quietly(manager.asked() == INSIDE, "once more")
        service.systemctl("stop")
        check_quietly(manager.asked() == "10.1.0.2" and not alarming(service), f"{what}: stopped: {alarming(service)}")
    check(True, f"{what}: started and stopped five times, the uplinks' servers are back each time")


def static_file(service):
    """openresolv is there, and the resolv.conf somebody else's."""
    service.machine.shell("rm -rf /run/resolvconf /etc/resolv.conf*; echo nameserver 192.0.2.9 >/etc/resolv.conf")
    service.systemctl("start")
    said = alarming(service)
    check("is not openresolv's own" in "".join(said), f"a resolv.conf that openresolv could not put back: {said}")
    service.systemctl("stop")
    check(service.machine.shell("cat /etc/resolv.conf") == "nameserver 192.0.2.9\n", "it stays as it was")


def main():
    package = build_package()
    with Bed("pair") as bed, machines(bed, "laptop") as (machine,):
        laptop, office = bed.pair(endpoints=[f"{NAME}:5820"], mode="udp")
        machine.run("apt-get", "update", network="machine", timeout=300)
        machine.install(package)
        office.attach("eth0", "wlan0")
        office.host.write(ZONE, json.dumps({NAME: ["10.1.0.2", "10.2.0.2"]}))
        office.host.program("name_server", "0.0.0.0", ZONE)
        service = Service(machine, laptop)
        for manager_type in (Resolvconf, Resolved, Openresolv):
            if sys.argv[1:] and manager_type.package not in sys.argv[1:]:
                continue
            manager = manager_type(machine)
            under(manager, service)
            if manager_type is Openresolv:
                static_file(service)
            manager.close()


if __name__ == "__main__":
    sys.exit(main())
