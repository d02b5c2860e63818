#!/usr/bin/python3
"""Whatever a stranger sends, not one datagram comes back: initiations for somebody else and from an unknown peer, made
by a real daemon; messages of every kind, true, forged and recorded. A known peer is answered."""

import os
import sys

from bed import Bed, check, check_quietly, wait_for

RATE = 10_000
# Who knows the public key may be asked to prove the address, above this rate (100 a second).
PROVEN_RATE = 80
SECONDS = 0.5


def caller(bed, laptop, office_key, name):
    """A daemon on the laptop with a key of its own that calls the office, or whom it takes for it."""
    tunnel = bed.tunnel(laptop, ["10.10.0.1/24"], name)
    tunnel.peers.append({"name": "office", "public_key": office_key, "allowed_ips": ["10.10.0.2/32"],
                         "endpoints": ["10.1.0.2:5820"]})
    return tunnel


def answers(capture):
    lines = [line for line in capture.end() if " IP " in line]
    return len(lines), lines[:2]


def try_daemon(tunnel, office, reason):
    recorder = tunnel.host.program("initiations", "record", "eth0")
    before = office.refused(reason)
    tunnel.attach("eth0")
    wait_for(f"the office refuses for {reason}", lambda: office.refused(reason) >= before + 2)
    tunnel.stop()
    return recorder.stdout.readline().strip()


def floods(laptop, office, recorded):
    """(what, kind, options) of each."""
    known = ("--key", office.public_key, "--rate", PROVEN_RATE)
    yield "true mac1, random box", "initiation", known
    yield "responses to calls that nobody makes", "response", ("--key", office.public_key, "--rate", RATE)
    yield "an unknown peer's recorded initiation", "replay", ("--hex", recorded, "--rate", PROVEN_RATE)
    yield "control packets", "control", ("--hex", os.urandom(8).hex(), "--rate", RATE)
    for kind in ("initiation", "response", "cookie", "unknown_session", "noise"):
        yield "random bytes", kind, ("--rate", RATE)


def silence(laptop, office, what, kind, options):
    capture = laptop.capture("eth0", "udp and src host 10.1.0.2 and dst net 198.18.0.0/15")
    sent = laptop.flood(office.host, kind, "--sources", 2000, "--seconds", SECONDS, *options).end()["sent"]
    count, lines = answers(capture)
    check(count == 0 and sent >= 30, f"{kind} ({what}): {sent} sent, {count} answered {lines}")


def main():
    with Bed("pair1") as bed:
        laptop = bed.host("laptop")
        # Else a frame that the office's XDP program sends back would not get through this end of the veth pair.
        bed.wire("ethtool", "-K", "eth0-b", "gro", "on")
        office = bed.tunnel(bed.host("office"), ["10.10.0.2/24"])
        friend = caller(bed, laptop, office.public_key, "cp0")
        stranger = caller(bed, laptop, office.public_key, "cp1")
        lost = caller(bed, laptop, stranger.public_key, "cp2")
        office.add_peer(friend)
        office.attach("eth0")
        office.host.run("ip", "route", "add", "198.18.0.0/15", "via", "10.1.0.1", "dev", "eth0")

        capture = laptop.capture("eth0", "udp and src host 10.1.0.2")
        recorded = try_daemon(stranger, office, "unknown_peer")
        check_quietly(len(recorded) == 2 * 216, "an initiation was recorded")
        try_daemon(lost, office, "bad_mac1")
        count, lines = answers(capture)
        check(count == 0, f"two daemons, one unknown, one that takes the office for another: {count} answers {lines}")
        for what, kind, options in floods(laptop, office, recorded):
            silence(laptop, office, what, kind, options)

        recorder = laptop.program("initiations", "record", "eth0")
        capture = laptop.capture("eth0", "udp and src host 10.1.0.2")
        friend.attach("eth0")
        friend.wait_active(1)
        recorded = recorder.stdout.readline().strip()
        friend.kill()
        count, _ = answers(capture)
        check(count > 0, f"a known peer: {count} datagrams came back")
        silence(laptop, office, "a known peer's recorded initiation", "replay",
                ("--hex", recorded, "--rate", PROVEN_RATE))
        check(office.daemon.poll() is None, "the office runs on")


if __name__ == "__main__":
    sys.exit(main())
