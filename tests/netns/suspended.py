#!/usr/bin/python3
"""A daemon is stopped for a while, as on a machine that sleeps: it goes on when it is let, and so does the tunnel.

CENTIPEDE_TEST_LONG=1: stopped for a minute.
"""

import signal
import sys
import time

from bed import LONG, Bed, check, wait_for

SECONDS = 60 if LONG else 3
BOUND_S = 3


def main():
    with Bed("pair") as bed:
        laptop, office = bed.attached_pair()
        for tunnel in (laptop, office):
            memory = tunnel.host.memory(tunnel.daemon.pid)
            tunnel.daemon.send_signal(signal.SIGSTOP)
            time.sleep(SECONDS)
            check(laptop.host.ping("10.10.0.2", 20, wait=0.1) == 20,
                  f"{tunnel.host.name} stopped for {SECONDS} s: no ping is answered")
            tunnel.daemon.send_signal(signal.SIGCONT)
            start = time.monotonic()
            wait_for("pings again", lambda: laptop.host.ping("10.10.0.2", 1, wait=0.1) == 0)
            took = time.monotonic() - start
            check(took <= BOUND_S, f"{tunnel.host.name} goes on: first ping through after {took:.2f} s")
            for one in (laptop, office):
                one.wait_active(2)
            check(laptop.host.ping("10.10.0.2", 100) == 0, "100 pings, none lost")
            grown = tunnel.host.memory(tunnel.daemon.pid) - memory
            check(grown < 2048, f"{tunnel.host.name}: {memory} KiB resident, grown by {grown} KiB")


if __name__ == "__main__":
    sys.exit(main())
