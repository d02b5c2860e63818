#!/usr/bin/python3
"""More comes than anyone takes: into the TUN interface of a busy and of a stopped daemon, into the rings and sockets of
a stopped one. What does not fit is dropped and counted, memory stays as it is, and afterwards all is as before."""

import re
import signal
import sys

from bed import MODE, Bed, check, wait_for

COUNT = 50_000


def tun_drops(tunnel):
    statistics = tunnel.host.run("ip", "-s", "-j", "link", "show", tunnel.name).stdout
    return int(re.search(r'"tx":\{[^}]*"dropped":(\d+)', statistics)[1])


def receive_drops(tunnel):
    """Of the AF_XDP sockets, or of the UDP sockets in mode udp."""
    if MODE == "xdp":
        return sum(uplink["xsk_dropped"] + uplink["fill_ring_empty"] for uplink in tunnel.status()["uplinks"])
    snmp = [line.split() for line in tunnel.host.run("cat", "/proc/net/snmp").stdout.splitlines() if "Udp:" in line]
    return int(snmp[1][snmp[0].index("RcvbufErrors")])


def flood(laptop):
    return laptop.host.call("flow", "send", "10.10.0.2", 7000, COUNT, 1e9, 4, 1200)


def calm(laptop, office, what):
    wait_for("a ping", lambda: laptop.host.ping("10.10.0.2", 1, wait=0.2) == 0)
    for tunnel in (laptop, office):
        tunnel.wait_active(2)
    check(laptop.host.ping("10.10.0.2", 200) == 0, f"after {what}: 200 pings, none lost")


def main():
    with Bed("pair", "--direct") as bed:
        laptop, office = bed.attached_pair()
        receiver = office.host.program("flow", "receive", "10.10.0.2", 7000)
        flood(laptop)
        memory = {tunnel: tunnel.host.memory(tunnel.daemon.pid) for tunnel in (laptop, office)}

        flood(laptop)
        calm(laptop, office, f"{COUNT} datagrams as fast as they come")
        laptop.daemon.send_signal(signal.SIGSTOP)
        before = tun_drops(laptop)
        flood(laptop)
        dropped = tun_drops(laptop) - before
        laptop.daemon.send_signal(signal.SIGCONT)
        check(dropped > COUNT / 2, f"nobody reads the TUN queue: it dropped and counted {dropped} of {COUNT}")
        calm(laptop, office, "a stopped reader")

        before = receive_drops(office)
        office.daemon.send_signal(signal.SIGSTOP)
        flood(laptop)
        office.daemon.send_signal(signal.SIGCONT)
        wait_for("the office counts what did not fit", lambda: receive_drops(office) > before)
        check(True, f"nobody empties the office's rings: {receive_drops(office) - before} drops counted")
        calm(laptop, office, "a stopped receiver")
        receiver.kill()
        for tunnel in (laptop, office):
            grown = tunnel.host.memory(tunnel.daemon.pid) - memory[tunnel]
            check(grown < 2048, f"{tunnel.host.name}: {memory[tunnel]} KiB resident, grown by {grown} KiB")


if __name__ == "__main__":
    sys.exit(main())
