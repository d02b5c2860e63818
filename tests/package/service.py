#!/usr/bin/python3
"""The installed service under a real systemd: ready when it says so, reload, restart under pings, a process that hangs
or is killed, a configuration that is wrong, the journal, and a stop that leaves nothing.

On two machines that systemd runs (roots.py), in both receive modes by CENTIPEDE_MODE. Half a minute, but for the first
run, which makes the roots.

Once before: tools/install-dependencies build demo package
"""

import json
import re
import signal
import sys

from roots import build_package, machines
from bed import MODE, Bed, check, check_quietly, describe_pings, wait_for  # found by roots

UNIT = "centipede@cp0"
FILE = "/etc/centipede/cp0.toml"
DROP_IN = f"/etc/systemd/system/{UNIT}.service.d"
EMERGENCY_TO_WARNING = "0..4"


class Service:
    """cp0 on one machine."""

    def __init__(self, machine, tunnel):
        self.machine = machine
        self.tunnel = tunnel
        self.name = machine.name
        tunnel.options["uplinks"] = ["eth0", "wlan0"]

    def configure(self):
        self.machine.write(FILE, self.tunnel.configuration().encode(), mode=0o600)

    def systemctl(self, *words, **options):
        return self.machine.run("systemctl", *words, UNIT, **options)

    def property(self, name):
        return self.systemctl("show", "--value", "-p", name).stdout.strip()

    def is_(self, state):
        return self.property("ActiveState") == state

    def pid(self):
        return self.property("MainPID")

    def status(self):
        answer = self.machine.run("centipede", "status", "--json", check=False)
        return json.loads(answer.stdout) if answer.returncode == 0 else None

    def active(self):
        status = self.status()
        return [path for peer in status["peers"] for path in peer["paths"] if path["state"] == "active"] if status else []

    def wait_active(self):
        wait_for(f"{self.name}: two active paths", lambda: len(self.active()) >= 2, 20)

    def ping(self, address):
        """All of a few answered."""
        return self.machine.run("ping", "-q", "-c", "3", "-i", "0.01", "-W", "2", address, check=False).returncode == 0

    def journal(self, *options):
        """Lines of the journal since the service was last started."""
        text = self.machine.run("journalctl", "-u", UNIT, "-o", "cat", "--no-pager",
                                f"_SYSTEMD_INVOCATION_ID={self.property('InvocationID')}", *options, check=False).stdout
        return text.splitlines()

    def interface(self):
        """Its index, addresses and routes."""
        return self.machine.shell("ip -o link show cp0 | cut -d: -f1; ip -o address show cp0; ip route show dev cp0; "
                                  "ip -6 route show dev cp0")

    def drop_in(self, text):
        self.machine.write(f"{DROP_IN}/test.conf", f"[Service]\n{text}\n".encode())
        self.machine.run("systemctl", "daemon-reload")

    def send(self, number):
        """To the main process, by systemd's own hand: its numbers are those of the container."""
        self.machine.run("kill", f"-{number.value}", self.pid())


def started(services):
    for service in services:
        service.configure()
        service.systemctl("enable", "--now")
    for service in services:
        check(service.property("SubState") == "running" and "cp0 over eth0, wlan0" in service.property("StatusText"),
              f"{service.name}: active (running): {service.property('StatusText')}")
        check(service.property("NFileDescriptorStore") not in ("", "0"), "the queues of its interface are kept")
        service.wait_active()
        modes = [uplink["mode"] for uplink in service.status()["uplinks"]]
        check_quietly(all(("native" in mode) == (MODE == "xdp") for mode in modes), f"it receives through {modes}")
        pins = service.machine.shell("ls /sys/fs/bpf/centipede/cp0 2>/dev/null || true")
        check_quietly("sessions" in pins, f"maps are pinned: {pins}")
        alarming = service.journal("-p", EMERGENCY_TO_WARNING)
        check(alarming == [], f"{service.name}: nothing to warn of: {alarming}")
    check(services[0].ping("10.10.0.2"), "pings go through")


def reload(service):
    pid, tunnel = service.pid(), service.tunnel
    tunnel.peers[0]["allowed_ips"].append("10.77.0.0/16")
    service.configure()
    service.systemctl("reload")
    check("10.77.0.0/16" in service.interface(), "reload: the edited file is in force")
    service.machine.write(FILE, b"[interface]\nport = 1\n", mode=0o600)
    refused = service.systemctl("reload", check=False)
    check(refused.returncode != 0 and service.is_("active") and "10.77.0.0/16" in service.interface(),
          "a wrong file is refused by reload, and the tunnel goes on")
    check_quietly(any("cp0.toml" in line for line in service.journal("-p", "err")),
                  f"the journal says why, as an error: {service.journal()}")
    service.configure()
    service.systemctl("reload")
    check_quietly(service.pid() == pid, "the same process all the while")


def outage(services, service, what, action):
    """Pings from the laptop to the office while `action` makes a new process of a service."""
    before, pid = service.interface(), service.pid()
    pings = services[0].machine.host.pinging("10.10.0.2", interval=0.005)
    wait_for("pings get through", lambda: services[0].ping("10.10.0.2"))
    action()
    wait_for(f"{service.name} {what}: a new process is ready",
             lambda: service.property("SubState") == "running" and service.pid() != pid, 20)
    wait_for("pings get through", lambda: services[0].ping("10.10.0.2"))
    for one in services:
        one.wait_active()
    report = pings.end()
    check(service.interface() == before, f"{service.name} {what}: same interface, addresses and routes")
    check(report["refused"] == 0, f"{service.name} {what} ({MODE}): {describe_pings(report)}")
    return report


def restarts(services):
    laptop, office = services
    report = outage(services, laptop, "restarted", lambda: laptop.systemctl("restart"))
    check(report["received"] == report["sent"], "who restarts loses nothing of what it sends")
    report = outage(services, office, "restarted", lambda: office.systemctl("restart"))
    check(report["longest_gap_s"] < 3, "who is sent to is back soon")
    said = "".join(laptop.journal() + office.journal())
    check("closed by the peer" not in said, "nobody was told goodbye")


def failures(services):
    office = services[1]
    outage(services, office, "killed", lambda: office.send(signal.SIGKILL))
    office.drop_in("WatchdogSec=1")
    office.systemctl("restart")
    outage(services, office, "stopped in its tracks", lambda: office.send(signal.SIGSTOP))
    said = office.machine.run("journalctl", "-u", UNIT, "-o", "cat", "--no-pager").stdout
    check("Watchdog timeout" in said, "systemd noticed that it hung")
    check(office.property("NRestarts") == "1", "and started it once")


def wrong_configuration(service):
    service.machine.write(FILE, b"[interface]\nport = 1\n", mode=0o600)
    service.systemctl("restart", check=False)
    wait_for("the service fails", lambda: service.is_("failed"))
    check(service.property("ExecMainStatus") == "2" and service.property("NRestarts") == "0",
          "a wrong configuration: failed with 2, and not tried again")
    check(any(FILE in line for line in service.journal("-p", "err")),
          f"the journal says why, as an error: {service.journal('-p', 'err')}")
    check("cp0" not in service.machine.shell("ip link"), "and no interface is kept for it")
    service.configure()
    service.systemctl("start")
    service.wait_active()


def stopped(services):
    for service in services:
        service.systemctl("stop")
        left = service.machine.shell("ip -o link; ip rule; ip route; ss -Hlnu; find /sys/fs/bpf/centipede /run/centipede "
                                     "-mindepth 1 ! -name '*.lock'")
        check(not re.search(r"cp0|:5820|xdp", left), f"{service.name}: stopped, and nothing left")
        check_quietly(service.property("NFileDescriptorStore") == "0", "nor is anything kept")
        score = re.search(r"exposure level.*: ([\d.]+)", service.machine.run("systemd-analyze", "security", "--no-pager",
                                                                             f"{UNIT}.service").stdout)[1]
        check_quietly(float(score) <= 3, f"systemd-analyze security: {score}")


def main():
    package = build_package()
    with Bed("pair") as bed, machines(bed, "laptop", "office") as both:
        services = [Service(machine, tunnel) for machine, tunnel in zip(both, bed.pair(mode=MODE))]
        for machine in both:
            machine.run("apt-get", "update", network="machine", timeout=300)
            machine.install(package)
        started(services)
        reload(services[0])
        restarts(services)
        failures(services)
        wrong_configuration(services[1])
        stopped(services)


if __name__ == "__main__":
    sys.exit(main())
