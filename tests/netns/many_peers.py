#!/usr/bin/python3
"""A gateway with 10,000 peers in its file that never call costs next to nothing, and serves those that do."""

import os
import re
import time
from pathlib import Path

from bed import BUILD, Bed, check, run, wait_for

SWARM = BUILD / "tests/netns/swarm"
IDLE = 10_000
ACTIVE = 200  # in session all at once, beside the laptop's own tunnel
IDLE_BYTES = 1600
TICKS = os.sysconf("SC_CLK_TCK")


def anonymous_kib(pid):
    return int(re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


def cpu_seconds(pid):
    words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / TICKS


def start(office):
    """The daemon's pid, before anybody has asked it for its status."""
    office.log.write_text("")
    office.attach("eth0", wait=False)
    wait_for("the office runs", lambda: "runs over" in office.log.read_text())
    return office.daemon.pid


def main():
    with Bed("pair1") as bed:
        laptop = bed.tunnel(bed.host("laptop"), ["10.10.0.1/24"])
        office = bed.tunnel(bed.host("office"), ["10.10.0.2/24"])
        laptop.add_peer(office, endpoints=["10.1.0.2:5820"])
        office.add_peer(laptop)
        few = anonymous_kib(start(office))
        office.stop()

        keys = run(SWARM, "keys", IDLE + ACTIVE).stdout.split()
        for number, key in enumerate(keys):
            office.peers.append({"public_key": key, "allowed_ips": [f"10.{64 + number // 65536}."
                                                                    f"{number // 256 % 256}.{number % 256}/32"]})
        pid = start(office)
        each = (anonymous_kib(pid) - few) * 1024 / len(keys)
        check(each < IDLE_BYTES, f"{each:.0f} bytes of resident memory for each idle peer")
        before = cpu_seconds(pid)
        time.sleep(2)  # what is measured, not waited for
        used = cpu_seconds(pid) - before
        check(used <= 0.02, f"with {len(keys)} idle peers the gateway used {used * 1000:.0f} ms of processor in 2 s")

        for host, route in ((laptop.host, "local 10.9.0.0/16 dev lo"), (office.host, "10.9.0.0/16 via 10.1.0.1")):
            host.run("ip", "route", "add", *route.split())
        said = laptop.log.with_suffix(".swarm")
        with open(said, "w", encoding="utf-8") as log:
            swarm = laptop.host.start(SWARM, "run", ACTIVE, "10.9.0.0", "10.1.0.2:5820", office.public_key, stdout=log)
        wait_for(f"{ACTIVE} peers in session", lambda: f"in session {ACTIVE}\n" in said.read_text(), 15)
        laptop.attach("eth0")
        laptop.wait_active(1)
        check(laptop.host.ping("10.10.0.2", 200) == 0, f"beside {ACTIVE} others: 200 pings, none lost")
        begin = time.monotonic()
        peers = office.status()["peers"]
        seconds = time.monotonic() - begin
        up = sum(any(path["state"] == "active" for path in peer["paths"]) for peer in peers)
        check(up == ACTIVE + 1 and len(peers) == IDLE + ACTIVE + 1,
              f"status: {up} of {len(peers)} peers active, after {seconds:.2f} s")
        check(seconds < 2, "status answers at once")
        check(swarm.poll() is None, "the others are still there")
        laptop.stop()
        office.stop()
        office.nothing_left()


if __name__ == "__main__":
    main()
