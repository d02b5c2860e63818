#!/usr/bin/python3
"""The disk is full where timestamps are kept: tunnels run, start and are called all the same; the file stays whole, and
is brought up to date when there is room again."""

import sys

from bed import Bed, check, check_quietly, json, wait_for

FOLDER = "/var/lib/centipede"
STATE = f"{FOLDER}/cp0.state"


def fill(host):
    host.run("sh", "-c", f"cat /dev/zero >{FOLDER}/filler", check=False)
    check_quietly("100%" in host.run("df", FOLDER).stdout, f"{host.name}: the disk is full")


def state(host):
    return json.loads(host.run("cat", STATE).stdout)


def restart(laptop, office):
    before = office.status()["control"]["initiations_answered"]
    laptop.kill()
    laptop.attach("eth0", "wlan0")
    wait_for("a ping", lambda: laptop.host.ping("10.10.0.2", 1, wait=0.2) == 0)
    check_quietly(office.status()["control"]["initiations_answered"] > before, "a new session")
    for tunnel in (laptop, office):
        tunnel.wait_active(2)


def main():
    with Bed("pair") as bed:
        laptop, office = bed.pair()
        for tunnel in (office, laptop):
            tunnel.host.run("mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", FOLDER)
            tunnel.attach("eth0", "wlan0")
        laptop.wait_active(2)
        for tunnel in (laptop, office):
            wait_for(f"{tunnel.host.name}: a state file", lambda: tunnel.host.run("test", "-e", STATE,
                                                                                  check=False).returncode == 0)
        wait_for("the office's has the laptop's timestamp", lambda: laptop.public_key in state(office.host)["peers"])
        for tunnel in (laptop, office):
            fill(tunnel.host)
            tunnel.state = state(tunnel.host)
        restart(laptop, office)
        check(True, "with full disks the laptop starts anew and is answered")
        wait_for("the office says so", lambda: office.log.read_text().count("the state is not saved") == 1)
        restart(laptop, office)
        check(laptop.host.ping("10.10.0.2", 100) == 0, "once more, and 100 pings, none lost")
        check(all(state(tunnel.host) == tunnel.state for tunnel in (laptop, office)), "the files are whole and old")
        check(office.log.read_text().count("the state is not saved") == 1, "the office said so once")
        for tunnel in (laptop, office):
            tunnel.host.run("rm", f"{FOLDER}/filler")
        wait_for("the office saves again", lambda: "the state is saved again" in office.log.read_text(), 15)
        accepted = [one["peers"][laptop.public_key] for one in (office.state, state(office.host))]
        check(accepted[1] > accepted[0], "with room again the office's file is up to date")
        left = office.host.run("ls", "-A", FOLDER).stdout.split()
        check(left == ["cp0.state"], f"nothing else is left there: {left}")
        for tunnel in (laptop, office):
            tunnel.stop()


if __name__ == "__main__":
    sys.exit(main())
