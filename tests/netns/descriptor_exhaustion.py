#!/usr/bin/python3
"""A running daemon gets no more descriptors: what flows goes on, it neither exits nor spins, and it recovers."""

import os
import sys
import time
from pathlib import Path
from subprocess import DEVNULL

from bed import CENTIPEDE, Bed, check, check_quietly, run, wait_for


def processor_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def limit(tunnel, descriptors):
    run("prlimit", "--pid", tunnel.daemon.pid, f"--nofile={descriptors}:")


def main():
    with Bed("pair") as bed:
        laptop, office = bed.attached_pair()
        pings = laptop.host.pinging("10.10.0.2", 0.005, 500)
        for tunnel in (laptop, office):
            name = tunnel.host.name
            card = tunnel.host.mac("wlan0")
            held = tunnel.host.descriptors(tunnel.daemon.pid)
            limit(tunnel, held)
            bed.link("wlan0", "unplug", name)
            wait_for(f"{name}: wlan0 is let go", lambda: tunnel.host.descriptors(tunnel.daemon.pid) < held)
            # What the lost uplink gave back must not be enough either.
            limit(tunnel, 3)
            answers = [tunnel.host.start("timeout", "2", CENTIPEDE, "status", stdout=DEVNULL, stderr=DEVNULL)
                       for _ in range(5)]
            bed.link("wlan0", "plug", name)
            tunnel.host.run("ip", "link", "set", "wlan0", "address", card)
            before = processor_seconds(tunnel.daemon.pid)
            start = time.monotonic()
            for answer in answers:
                answer.wait(10)
            used = (processor_seconds(tunnel.daemon.pid) - before) / (time.monotonic() - start)
            check_quietly(all(answer.returncode != 0 for answer in answers), f"{name}: no descriptor, so no answer")
            check_quietly("Too many open files" in tunnel.log.read_text(), f"{name}: says what it lacks")
            check(tunnel.daemon.poll() is None, f"{name}: no descriptor, a device plugged, 5 questions: it runs on")
            check(used < 0.5, f"{name}: {used:.2f} processors used meanwhile")
            limit(tunnel, 1024)
            wait_for(f"{name}: answers again", lambda: tunnel.ask("status").returncode == 0)
            for one in (laptop, office):
                one.wait_active(2, seconds=15)
            wait_for(f"{name}: as many descriptors as before",
                     lambda: tunnel.host.descriptors(tunnel.daemon.pid) == held)
            check(True, f"{name}: descriptors free again: both paths active, {held} descriptors as before")
        pings.nothing_lost("meanwhile over the other link")


if __name__ == "__main__":
    sys.exit(main())
