#!/usr/bin/python3
"""Ten thousand changes of a running tunnel under load: each is carried out whole or refused, and nothing is lost."""

import json
import signal
import sys

from bed import Bed, LONG, check, wait_for

CHANGES = 100_000 if LONG else 10_000
RATE = 1000  # packets a second each way


def numbered(host, own, other):
    return host.program("numbered", own, other, 7000, RATE)


def end(process):
    process.send_signal(signal.SIGTERM)
    return json.loads(process.communicate(timeout=30)[0])


def nothing_by_halves(laptop):
    """The kernel refuses one of the routes of a change: it is refused whole."""
    laptop.host.run("ip", "route", "add", "10.98.0.0/16", "dev", "eth0")
    before = laptop.ask("export").stdout, laptop.host.run("ip", "route").stdout
    answer = laptop.ask("peer", "set", "office", "--policy", "backup", "--allowed-ips",
                        "10.10.0.2/32,10.97.0.0/16,10.98.0.0/16,10.99.0.0/16")
    check(answer.returncode == 1 and "10.98.0.0/16" in answer.stderr and "eth0" in answer.stderr,
          f"a network that another device has is refused: {answer.stderr.strip()}")
    after = laptop.ask("export").stdout, laptop.host.run("ip", "route").stdout
    check(before == after and "10.97" not in after[1], "and nothing of the change was done")


def main():
    with Bed("pair") as bed:
        laptop, office = bed.attached_pair()
        nothing_by_halves(laptop)
        keys = []
        for _ in range(4):
            private = laptop.host.centipede("genkey").stdout
            keys.append(laptop.host.centipede("pubkey", input=private).stdout.strip())
        routes = laptop.host.run("ip", "route", "show", "dev", "cp0").stdout
        ends = [numbered(laptop.host, "10.10.0.1", "10.10.0.2"), numbered(office.host, "10.10.0.2", "10.10.0.1")]
        for one in ends:
            one.send_signal(signal.SIGUSR1)
        outcome = laptop.host.call("changes", "/run/centipede/cp0.sock", "office", CHANGES, *keys)
        for one in ends:
            one.send_signal(signal.SIGINT)
        check(outcome["unexpected"] == [], f"every answer is the one expected: {outcome['unexpected']}")
        check(outcome["done"] >= CHANGES and outcome["refused"] >= CHANGES / 10,
              f"{outcome['done']} changes carried out, {outcome['refused']} refused")
        check(outcome["unchanged"], "the settings are what they were before")
        wait_for("what is on its way has arrived",
                 lambda: office.total("delivered") >= laptop.total("tun_read") - 10, seconds=5)
        at_laptop, at_office = (end(one) for one in ends)
        for sender, receiver, way in ((at_laptop, at_office, "to office"), (at_office, at_laptop, "to laptop")):
            lost = sender["sent"] - receiver["received"]
            check(lost == 0 and sender["refused"] == receiver["damaged"] == receiver["duplicates"] == 0,
                  f"{way}: {lost} of {sender['sent']} packets lost")
        check(laptop.status()["peers"][0]["handshakes"] == 1, "one session for all of it")
        check(laptop.host.run("ip", "route", "show", "dev", "cp0").stdout == routes, "the routes are as before")
        lines = laptop.log.read_text().count("\n")
        check(lines < 1000, f"{lines} lines in the log")


if __name__ == "__main__":
    sys.exit(main())
