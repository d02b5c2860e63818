#!/usr/bin/python3
"""Somebody on the fast link sees each initiation first, holds it back and sends it a hundred times from made-up
sources: the genuine copy, late over the slow link, is answered all the same."""

import signal
import subprocess
import sys
import time

from bed import PROGRAMS, PYTHON, Bed, check, check_quietly, json

COPIES = 100
BOUND_S = 3


def start_attacker(bed):
    attacker = subprocess.Popen(["ip", "netns", "exec", f"{bed.name}-wire", PYTHON, PROGRAMS / "initiations.py", "copy",
                                 "eth0-a", "eth0-b", str(COPIES)], text=True, stdout=subprocess.PIPE)
    bed.processes.append(attacker)
    check_quietly(attacker.stdout.readline() == "ready\n", "the attacker is ready")
    return attacker


def main():
    with Bed("pair") as bed:
        laptop, office = bed.pair()
        office.attach("eth0", "wlan0")
        office.host.run("ip", "route", "add", "198.18.0.0/15", "via", "10.1.0.1", "dev", "eth0")
        # The attacker lets nothing through but what it sends itself.
        for here, there, address in ((laptop, office, "10.1.0.2"), (office, laptop, "10.1.0.1")):
            here.host.run("ip", "neighbour", "replace", address, "lladdr", there.host.mac(), "dev", "eth0")
        bed.link("eth0", "cut")
        bed.link("wlan0", "set", "both", "delay=150ms")
        attacker = start_attacker(bed)
        laptop.attach("eth0", "wlan0")
        start = time.monotonic()
        laptop.wait_active(1)
        took = time.monotonic() - start
        check(took <= BOUND_S, f"active over the slow link after {took:.2f} s")
        check(laptop.host.ping("10.10.0.2", 20) == 0, "20 pings, none lost")
        attacker.send_signal(signal.SIGINT)
        tally = json.loads(attacker.communicate(timeout=10)[0])
        check(tally["sent"] >= COPIES and tally["answer_bytes"] <= tally["sent_bytes"],
              f"the attacker saw {tally['seen']} initiations, sent {tally['sent']} copies and got {tally['answers']} "
              f"answers, {tally['answer_bytes'] / tally['sent_bytes']:.2f} bytes for each that it sent")
        check(len(office.paths()) <= 2, "no path was learned from it")


if __name__ == "__main__":
    sys.exit(main())
