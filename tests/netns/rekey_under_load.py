#!/usr/bin/python3
"""Keys are replaced every few seconds while packets flow both ways over a fast and a very slow link: none is lost, none
arrives twice. Then over the slow link alone. On the wire no nonce is used for two packets, under no key and on no
lane."""

import sys

from bed import Bed, Wire, check

REKEY_S = 5
RATE = 1000


def handshakes(tunnel):
    return tunnel.status()["peers"][0]["handshakes"]


def main():
    with Bed("pair") as bed:
        bed.link("wlan0", "set", "both", "delay=300ms")
        wire = Wire(bed, "nonces", 5820, *(f"{link}-{end}" for link in ("eth0", "wlan0") for end in "ab"))
        laptop, office = bed.attached_pair(rekey_seconds=REKEY_S)
        for links, count in (("both links", 8000), ("the slow link alone", 6000)):
            before = handshakes(laptop)
            pings = laptop.host.pinging("10.10.0.2", 0.005, count // RATE * 200)
            report = bed.flow(laptop.host, office.host, "10.10.0.2", count, RATE)
            check(report["received"] == count and report["duplicates"] == 0,
                  f"{links}: {count - report['received']} of {count} packets lost, {report['duplicates']} twice; gaps: {report['gaps']}")
            pings.nothing_lost(f"{links}, there and back")
            renewed = handshakes(laptop) - before
            check(renewed >= count / RATE // REKEY_S, f"{renewed} handshakes meanwhile")
            bed.link("eth0", "cut")
            laptop.wait_active(1)
        sealed = laptop.total("sealed") + office.total("sealed")
        seen = wire.end()
        check(seen["missed"] == 0 and seen["nonces"] > sealed >= 14_000, f"{seen['nonces']} packets seen on the wire")
        check(seen["lanes"] >= 2 and seen["sessions"] >= 2 * laptop.status()["peers"][0]["handshakes"],
              f"{seen['lanes']} lanes of {seen['sessions']} directions of sessions")
        check(seen["reused"] == 0, "each packet under a nonce of its own")


if __name__ == "__main__":
    sys.exit(main())
