#!/usr/bin/python3
"""Uplinks come and go in a running tunnel, and wrong requests do it no harm."""

import sys

from bed import Bed, check, wait_for


def refused(tunnel, words, *mentions):
    answer = tunnel.ask(*words)
    text = answer.stdout + answer.stderr
    check(answer.returncode == 1 and all(word in text for word in mentions), f"{' '.join(words)}: {text.strip()}")


def full(laptop):
    """With all places taken, a refused device takes nobody's."""
    for number in range(15):
        laptop.host.run("ip", "link", "add", f"mv{number}", "link", "eth0", "type", "macvlan")
        laptop.host.run("ip", "link", "set", f"mv{number}", "up")
    check(laptop.ask("uplink", "add", "mv*").returncode == 0, "15 more uplinks by a pattern")
    wait_for("16 uplinks", lambda: len(laptop.status()["uplinks"]) == 16)
    refused(laptop, ("attach", "missing0"), "no such device")
    check("makes room" not in laptop.log.read_text(), "nobody made room for it")
    check(laptop.ask("uplink", "remove", "mv*").returncode == 0, "the pattern is given up")


def main():
    with Bed("pair") as bed:
        laptop, office = bed.pair()
        office.attach("eth0", "wlan0")
        laptop.attach("eth0")
        laptop.wait_active(1)
        pings = laptop.host.pinging("10.10.0.2", 0.002, 1000)
        for _ in range(3):
            for new, old in (("wlan0", "eth0"), ("eth0", "wlan0")):
                check(laptop.ask("attach", new).returncode == 0, f"attach {new} to the running tunnel")
                laptop.wait_active(2)
                check(laptop.ask("detach", old).returncode == 0, f"detach {old} from it")
                names = [uplink["name"] for uplink in laptop.status()["uplinks"]]
                check(names == [new], f"uplinks now: {names}")
                wait_for("office: one path", lambda: len(office.active()) == 1)
        refused(laptop, ("detach", "wlan0"), "wlan0")
        refused(laptop, ("attach", "missing0"), "missing0")
        full(laptop)
        refused(laptop, ("detach", "missing0"), "missing0")
        again = laptop.ask("attach", "eth0")
        check(again.returncode == 0 and "nothing to do" in again.stdout, f"attach eth0 again: {again.stdout.strip()}")
        pings.nothing_lost("uplinks exchanged 6 times")
        check(laptop.status()["peers"][0]["handshakes"] == 1, "one session for all of it")
        check(laptop.ask("detach").returncode == 0, "detach stops the tunnel")
        check(laptop.daemon.wait(1) == 0, "attach ended with 0 before detach returned")
        laptop.nothing_left()
        refused(laptop, ("detach",), "does not run")
        refused(laptop, ("detach", "eth0"), "does not run")


if __name__ == "__main__":
    sys.exit(main())
