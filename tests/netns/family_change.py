#!/usr/bin/python3
"""The laptop loses its IPv4 address and goes on over IPv6: the session lives on."""

import sys

from bed import Bed, check, describe_pings, wait_for

HANDOVER_S = 1.0


def families(tunnel):
    return {"v6" if path["remote"].startswith("[") else "v4" for path in tunnel.active()}


def session(tunnel):
    peer = tunnel.status()["peers"][0]
    return peer["handshakes"]


def main():
    with Bed("pair1") as bed:
        laptop, office = bed.pair(endpoints=["10.1.0.2:5820", "[fd01::2]:5820"])
        address = lambda *words: laptop.host.run("ip", "address", *words, "dev", "eth0")
        address("del", "fd01::1/64")
        office.attach("eth0")
        laptop.attach("eth0")
        laptop.wait_active(1)
        check(families(laptop) == {"v4"}, "begins over IPv4 alone")

        pings = laptop.host.pinging("10.10.0.2", 0.002, 200)
        address("add", "fd01::1/64", "nodad")
        wait_for("both families are active", lambda: families(laptop) == {"v4", "v6"} == families(office))
        address("del", "10.1.0.1/24")
        wait_for("only IPv6 is active", lambda: families(laptop) == {"v6"})
        pings.nothing_lost("IPv4 gone while IPv6 was active")

        address("add", "10.1.0.1/24")
        wait_for("both again", lambda: families(laptop) == {"v4", "v6"})
        address("del", "fd01::1/64")
        wait_for("only IPv4", lambda: families(laptop) == {"v4"})
        wait_for("office: only IPv4", lambda: families(office) == {"v4"})

        pings = laptop.host.pinging("10.10.0.2", 0.002, 200)
        laptop.host.run("ip", "-batch", "-", input="address del 10.1.0.1/24 dev eth0\n"
                                                   "address add fd01::1/64 dev eth0 nodad\n")
        wait_for("IPv6 takes over", lambda: families(laptop) == {"v6"})
        wait_for("the office follows", lambda: "v6" in families(office))
        report = pings.end()
        check(report["longest_gap_s"] < HANDOVER_S and report["duplicates"] == 0,
              f"IPv4 replaced by IPv6 at one moment: {describe_pings(report)}")
        check(session(laptop) == session(office) == 1, "still the first session on both sides")


if __name__ == "__main__":
    sys.exit(main())
