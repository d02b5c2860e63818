#!/usr/bin/python3
"""A laptop behind two NATs: their mappings are lost, their public addresses change, the tunnel finds its way."""

import sys
import time

from bed import Bed, check, describe_pings, run, TESTBED, wait_for

BOUND_S = 4.0
PATHS = 4  # the routers connect every uplink of the laptop with both of the office


def nat(bed, *words):
    run(TESTBED, "nat", "--bed", bed.name, *words)


def remotes(office):
    return {path["remote"] for path in office.active()}


def changed(bed, laptop, office, what, change, expected):
    """`change` happens; all paths must be active again, at `expected`(remotes)."""
    pings = laptop.host.pinging("10.10.0.2", 0.005, 100)
    start = time.monotonic()
    change()
    wait_for(f"{what}: the office sees all paths anew", lambda: expected(remotes(office)), 20)
    wait_for(f"{what}: all active at the laptop", lambda: len(laptop.active()) >= PATHS, 20)
    took = time.monotonic() - start
    report = pings.end()
    check(report["longest_gap_s"] <= BOUND_S, f"{what}: all paths again after {took:.2f} s, {describe_pings(report)}")


def main():
    with Bed("nat") as bed:
        laptop, office = bed.pair()
        office.attach("eth0", "wlan0")
        laptop.attach("eth0", "wlan0")
        laptop.wait_active(PATHS)
        office.wait_active(PATHS)
        sources = remotes(office)
        check(all(remote.startswith(("10.1.0.1:", "10.2.0.1:")) for remote in sources) and len(sources) == PATHS,
              f"the office sees the routers: {sorted(sources)}")
        pings = laptop.host.pinging("10.10.0.2", 0.002, 100)
        time.sleep(1)  # what is observed: traffic for one second
        pings.nothing_lost("behind two NATs")

        changed(bed, laptop, office, "mappings lost", lambda: nat(bed, "flush"),
                lambda now: len(now - sources) >= PATHS)
        mapped = remotes(office)
        changed(bed, laptop, office, "one public address changed",
                lambda: (nat(bed, "address", "wan0", "10.1.0.99/24"), nat(bed, "flush")),
                lambda now: any(one.startswith("10.1.0.99:") for one in now) and len(now - mapped) >= PATHS)
        check(laptop.status()["peers"][0]["handshakes"] == 1 == office.status()["peers"][0]["handshakes"],
              "still the first session on both sides")
        check(laptop.host.ping("10.10.0.2", 200) == 0 == office.host.ping("10.10.0.1", 200), "200 pings each way")


if __name__ == "__main__":
    sys.exit(main())
