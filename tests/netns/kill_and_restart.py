#!/usr/bin/python3
"""kill -9 and start again, five times on each side: up within seconds, and in the end nothing is left behind."""

import sys
import time

from bed import Bed, check, wait_for

TIMES = 5
BOUND_S = 6


def main():
    with Bed("pair") as bed:
        laptop, office = bed.attached_pair()
        for tunnel in (laptop, office):
            durations = []
            for _ in range(TIMES):
                tunnel.kill()
                start = time.monotonic()
                tunnel.attach("eth0", "wlan0", wait=False)
                wait_for(f"pings after killing {tunnel.host.name}",
                         lambda: laptop.host.ping("10.10.0.2", 1, wait=0.2) == 0, BOUND_S + 2)
                durations.append(time.monotonic() - start)
                laptop.wait_active(2)
                office.wait_active(2)
            check(max(durations) <= BOUND_S, f"{tunnel.host.name} killed {TIMES} times, first ping through after "
                  + ", ".join(f"{duration:.2f}" for duration in durations) + " s")
        other = {laptop: office, office: laptop}
        for tunnel in (laptop, office):
            tunnel.kill()
            check(other[tunnel].daemon.poll() is None, f"{other[tunnel].host.name} outlives it")
            tunnel.attach("eth0", "wlan0")
            tunnel.wait_active(2)
        for tunnel in (laptop, office):
            tunnel.stop()
            tunnel.nothing_left()
            if tunnel is laptop:
                check(office.daemon.poll() is None, "the office runs on without the laptop")


if __name__ == "__main__":
    sys.exit(main())
