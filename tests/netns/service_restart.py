#!/usr/bin/python3
"""A service is restarted, or killed and started again: the interface stays, with its addresses and routes, its peer is
not told goodbye, and the outage is short. A stop takes all of it away."""

import signal
import sys
import tempfile

from bed import MODE, Bed, check, check_quietly, describe_pings, wait_for
from manager import Manager

BOUND_S = 3


def interface(tunnel):
    """Its index, addresses and routes."""
    return [tunnel.host.run("ip", "-o", *words, check=False).stdout for words in (
        ("link", "show", "cp0"), ("address", "show", "cp0"), ("route", "show", "dev", "cp0"),
        ("-6", "route", "show", "dev", "cp0"))]


def same_interface(tunnel, before, what):
    now = interface(tunnel)
    check(now[0].split(":")[0] == before[0].split(":")[0] and now[1:] == before[1:],
          f"{tunnel.host.name} {what}: same interface, addresses and routes")


def outage(laptop, office, tunnel, what, action):
    """Pings from the laptop to the office while `action` restarts one of them."""
    before = interface(tunnel)
    pings = laptop.host.pinging("10.10.0.2", interval=0.005)
    wait_for("pings get through", lambda: laptop.total("sent") > 0)
    action()
    wait_for("pings get through", lambda: laptop.host.ping("10.10.0.2", 1, wait=0.1) == 0)
    for one in (laptop, office):
        one.wait_active(2)
    report = pings.end()
    same_interface(tunnel, before, what)
    check(report["longest_gap_s"] <= BOUND_S and report["refused"] == 0,
          f"{tunnel.host.name} {what} ({MODE}): {describe_pings(report)}")


def main():
    with Bed("pair") as bed, tempfile.TemporaryDirectory() as folder:
        laptop, office = bed.pair()
        managers = {tunnel: Manager(tunnel, folder) for tunnel in (office, laptop)}
        for manager in managers.values():
            manager.start("eth0", "wlan0")
        for tunnel in managers:
            tunnel.wait_active(2)
        closed = "closed by the peer"

        for tunnel, manager in managers.items():
            outage(laptop, office, tunnel, "restarted", lambda manager=manager: manager.restart("eth0", "wlan0"))
        check(closed not in laptop.log.read_text() + office.log.read_text(), "nobody was told goodbye")

        def kill_and_start(manager):
            manager.tunnel.kill()
            manager.start("eth0", "wlan0")

        outage(laptop, office, laptop, "killed", lambda: kill_and_start(managers[laptop]))

        office.peers[0]["allowed_ips"] = ["10.10.0.1", "fd10::1", "10.77.0.0/16"]
        office.addresses = ["10.10.0.2/24", "10.10.0.3/32"]
        office.configure()
        managers[office].restart("eth0", "wlan0")
        shown = "".join(interface(office))
        check("10.77.0.0/16" in shown and "10.10.0.3" in shown and "fd10::2" not in shown,
              "with another configuration it has the new addresses and routes, not the old ones")

        laptop.options["workers"] = 1
        before = interface(laptop)[0]
        managers[laptop].restart("eth0", "wlan0")
        for tunnel in managers:
            tunnel.wait_active(2)
        check(interface(laptop)[0] != before and laptop.host.ping("10.10.0.2", 1) == 0,
              "with another number of workers it is made anew, in the first start")
        laptop.daemon.send_signal(signal.SIGTERM)
        managers[laptop].wait_for("STOPPING=1")
        check_quietly(laptop.daemon.wait(10) == 0 and not managers[laptop].kept, "a stop forgets the interface")
        laptop.nothing_left()
        wait_for("the office hears of the stop", lambda: closed in office.log.read_text())
        check(True, "a stop takes it all away, and the peer is told")


if __name__ == "__main__":
    sys.exit(main())
