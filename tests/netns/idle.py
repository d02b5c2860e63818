#!/usr/bin/python3
"""What a tunnel costs that carries nothing, and one that carries a trickle: workers sleep, nothing spins.

The bounds are there to find what spins; how little it is in truth, tools/bench says ("idle %").
"""

import os
import sys
import time
from pathlib import Path

from bed import Bed, check

TICKS = os.sysconf("SC_CLK_TCK")


def used(tunnel):
    """Seconds of processor time of the daemon, all threads."""
    fields = Path(f"/proc/{tunnel.daemon.pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def shares(tunnels, action):
    """Of one core, while the action goes on."""
    before = [used(tunnel) for tunnel in tunnels]
    start = time.monotonic()
    action()
    seconds = time.monotonic() - start
    return [(used(tunnel) - was) / seconds for tunnel, was in zip(tunnels, before)]


def main():
    with Bed("pair", "--direct") as bed:
        tunnels = laptop, office = bed.attached_pair(workers=2)
        bed.iperf(laptop.host, office.host, "10.10.0.2", "-t", "1", "-P", "4")
        time.sleep(0.5)
        idle = shares(tunnels, lambda: time.sleep(5))
        check(max(idle) < 0.03, f"without traffic: {[f'{share:.1%}' for share in idle]} of a core")
        trickle = shares(tunnels, lambda: laptop.host.ping("10.10.0.2", 150, 0.02))
        check(max(trickle) < 0.25, f"with 50 packets a second each way: {[f'{share:.1%}' for share in trickle]}")


if __name__ == "__main__":
    sys.exit(main())
