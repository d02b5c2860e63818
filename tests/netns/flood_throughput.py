#!/usr/bin/python3
"""By hand, not among the tests: TCP through a tunnel over eth0 while somebody floods the office's port.

Prints a table. "elsewhere" is the same flood to a port where nobody listens: what the frames alone cost. The generator
keeps to the last processor (veth makes the sender's processor do the receiver's work for a frame), the daemons to the
others. The flood comes in over CENTIPEDE_FLOOD_LINK: wlan0 (the default), another uplink of the office, or eth0, the
tunnel's own. All frames of a veth pair share one queue of 256, so on eth0 at full speed the kinds that cost more also
crowd out more: CENTIPEDE_FLOOD_RATE frames a second (default 0, as fast as it goes) make the rows comparable.
CENTIPEDE_ROUNDS (default 3) rounds in turn, CENTIPEDE_SECONDS (default 4) each; the median counts.
"""

import os
import statistics
import sys

from bed import FLOOD, MODE, Bed, Flood, run

ROUNDS = int(os.environ.get("CENTIPEDE_ROUNDS", "3"))
SECONDS = int(os.environ.get("CENTIPEDE_SECONDS", "4"))
RATE = int(os.environ.get("CENTIPEDE_FLOOD_RATE", "0"))
LINK = os.environ.get("CENTIPEDE_FLOOD_LINK", "wlan0")
TO = {"eth0": "10.1.0.2", "wlan0": "10.2.0.2"}[LINK]
LAST = os.cpu_count() - 1
# Answers leave for machines that are not here.
AWAY = """table netdev away {
  chain in {
    type filter hook ingress device eth0 priority 0
    ip daddr 198.18.0.0/15 drop
  }
}
"""


def rows(key):
    known = ("--key", key)
    return {"idle": None,
            "initiations elsewhere": ("initiation", *known, "--port", "9"),
            "bad_mac1": ("initiation",),
            "valid_mac1": ("initiation", *known),
            "data elsewhere": ("unknown_session", "--port", "9"),
            "unknown_session": ("unknown_session",)}


def start_flood(bed, laptop, office, options):
    kind, *others = options
    return Flood(laptop.command("taskset", "-c", LAST, FLOOD, kind, "--device", LINK, "--to-mac", office.mac(LINK),
                                "--to", TO, "--rate", RATE, "--seconds", SECONDS + 3, *others), bed)


def measure(bed, laptop, office, options):
    """Mbit/s of TCP, frames a second of the flood."""
    flood = start_flood(bed, laptop.host, office.host, options) if options else None
    # The flood prepares its frames for some tenths of a second, and lasts longer than the measurement.
    report = bed.iperf(laptop.host, office.host, "10.10.0.2", "-t", SECONDS, "-O", 1)
    return report["end"]["sum_received"]["bits_per_second"] / 1e6, flood.end()["rate"] if flood else 0


def main():
    others = ",".join(str(one) for one in range(LAST)) or "0"
    with Bed("pair", "--direct") as bed:
        laptop, office = bed.pair(endpoints=("10.1.0.2:5820",))
        office.attach("eth0", "wlan0")
        laptop.attach("eth0")
        for tunnel in (office, laptop):
            run("taskset", "-a", "-p", "-c", others, tunnel.daemon.pid)
        laptop.wait_active(1)
        office.host.run("ip", "route", "add", "198.18.0.0/15", "via", TO.replace(".0.2", ".0.1"), "dev", LINK)
        if LINK == "eth0":
            laptop.host.run("nft", "-f", "-", input=AWAY)
        else:
            laptop.host.call("foreign_xdp", LINK, "drop")
        results = {name: [] for name in rows("")}
        for _ in range(ROUNDS):
            for name, options in rows(office.public_key).items():
                results[name].append(measure(bed, laptop, office, options))
        print(f"mode {MODE}, {ROUNDS} rounds of {SECONDS} s, load {os.getloadavg()[0]:.1f}")
        print(f"{'flood':24}{'frames/s':>12}{'TCP Mbit/s':>12}   each round")
        for name, measured in results.items():
            rates = [one[0] for one in measured]
            print(f"{name:24}{statistics.median(one[1] for one in measured):12.0f}{statistics.median(rates):12.0f}   "
                  + " ".join(f"{rate:.0f}" for rate in rates))
        verdicts = {reason: office.xdp(reason) for reason in office.status()["uplinks"][0]["xdp"] if office.xdp(reason)}
        print(f"office, XDP: {verdicts}")


if __name__ == "__main__":
    sys.exit(main())
