#!/usr/bin/python3
"""Initiations with a true mac1 from more than 100,000 made-up sources, far more than could be verified, on the only
link of a tunnel: data flows on, a caller that starts meanwhile gets through, memory stays as it is, and no more comes
back than was sent."""

import re
import sys
import time

from bed import MODE, Bed, check, wait_for

# In mode udp each costs a datagram through two sockets: above what a core can answer, a caller needs several attempts.
RATE = 30_000 if MODE == "udp" else 100_000
SECONDS = 10
PACKETS = 2000
PACKET_RATE = 500
BOUND_S = 2
COUNTER = """table netdev flood {
  chain back {
    type filter hook ingress device eth0 priority 0
    ip daddr 198.18.0.0/15 counter drop
  }
}
"""


def bytes_back(host):
    text = host.run("nft", "list", "table", "netdev", "flood").stdout
    found = re.search(r"counter packets (\d+) bytes (\d+)", text)
    return int(found[1]), int(found[2])


def received_frames(host):
    return int(host.run("cat", "/sys/class/net/eth0/statistics/rx_packets").stdout)


def main():
    with Bed("pair1", "--direct") as bed:
        laptop, office = bed.pair(endpoints=("10.1.0.2:5820",))
        for tunnel in (office, laptop):
            tunnel.attach("eth0")
        laptop.wait_active(1)
        office.host.run("ip", "route", "add", "198.18.0.0/15", "via", "10.1.0.1", "dev", "eth0")
        laptop.host.run("nft", "-f", "-", input=COUNTER)
        bed.flow(laptop.host, office.host, "10.10.0.2", 500, 1000)
        memory = office.host.memory(office.daemon.pid)

        before = received_frames(office.host)
        flood = laptop.host.flood(office.host, "initiation", "--key", office.public_key, "--rate", RATE,
                                  "--seconds", SECONDS)
        wait_for("the flood has begun", lambda: received_frames(office.host) > before + RATE / 10)
        report = bed.flow(laptop.host, office.host, "10.10.0.2", PACKETS, PACKET_RATE)
        lost = PACKETS - report["received"]
        check(lost < 0.001 * PACKETS and report["duplicates"] == 0, f"under the flood {lost} of {PACKETS} packets lost")
        durations = []
        for _ in range(3):
            laptop.kill()
            start = time.monotonic()
            laptop.attach("eth0", wait=False)
            wait_for("a ping through a new session", lambda: laptop.host.ping("10.10.0.2", 1, wait=0.1) == 0)
            durations.append(time.monotonic() - start)
        check(max(durations) <= BOUND_S and flood.process.poll() is None, "the laptop starts anew, first pings after "
              + ", ".join(f"{one:.2f}" for one in durations) + " s")
        sent = flood.end()
        check(sent["sent"] >= 100_000, f"{sent['sent']} initiations in {sent['seconds']} s, {sent['rate']} a second")
        packets, size = bytes_back(laptop.host)
        check(size <= sent["bytes"], f"{packets} answers, {size / sent['bytes']:.3f} bytes for each that came")
        grown = office.host.memory(office.daemon.pid) - memory
        check(grown < 2048, f"office: {memory} KiB resident, grown by {grown} KiB")
        wait_for("the path is active", lambda: len(laptop.active()) == 1)


if __name__ == "__main__":
    sys.exit(main())
