#!/usr/bin/python3
"""kill -9 and start again many times, CENTIPEDE_KILLS of them: up within seconds each time, and the kernel keeps
nothing of the dead: no BPF object, interface, pin, socket or descriptor."""

import contextlib
import os
import re
import sys
import time
from pathlib import Path

from bed import Bed, check, check_quietly, json, run, wait_for

KILLS = int(os.environ.get("CENTIPEDE_KILLS", "12"))
BOUND_S = 6
OURS = ("centipede", "sessions", "session_counters", "windows", "xsks", "uplinks", "counters", "calls", "shield",
        "sources", "unproven", "xdp_dispatcher")


def bpf_objects():
    """Programs, maps and links of the whole machine: (kind, id) → what bpftool says."""
    return {(kind, one["id"]): one for kind in ("prog", "map", "link")
            for one in json.loads(run("bpftool", "-j", kind, "show").stdout)}


def held_by_processes(objects):
    """Those that a living process has open, and what these need."""
    held = set()
    for entry in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if str(entry.readlink()).startswith("anon_inode:bpf"):
                information = (entry.parents[1] / "fdinfo" / entry.name).read_text()
                held |= {(kind, int(number)) for kind, number in re.findall(r"(prog|map|link)_id:\s+(\d+)", information)}
    held |= {("prog", objects[one]["prog_id"]) for one in held & objects.keys() if "prog_id" in objects[one]}
    held |= {("map", number) for one in held & objects.keys() for number in objects[one].get("map_ids", ())}
    return held


def kept_by_the_kernel(before):
    """Names of our objects that are new since then and that no process has: pinned, attached or leaked."""
    objects = bpf_objects()
    held = held_by_processes(objects)
    return sorted(one.get("name", key[0]) for key, one in objects.items() if key not in before and key not in held
                  and (key[0] == "link" or one.get("name", "").startswith(OURS)))


def kill_once(laptop, tunnel):
    tunnel.kill()
    start = time.monotonic()
    tunnel.attach("eth0", "wlan0", wait=False)
    wait_for(f"pings after killing {tunnel.host.name}", lambda: laptop.host.ping("10.10.0.2", 1, wait=0.2) == 0,
             BOUND_S + 2)
    return time.monotonic() - start


def main():
    before = bpf_objects()
    with Bed("pair") as bed:
        laptop, office = bed.attached_pair()
        expected = kept_by_the_kernel(before)
        interfaces = {tunnel: tunnel.host.run("ip", "-o", "link").stdout.count("\n") for tunnel in (laptop, office)}
        descriptors = {tunnel: tunnel.host.descriptors(tunnel.daemon.pid) for tunnel in (laptop, office)}
        durations = []
        for index in range(KILLS):
            durations.append(kill_once(laptop, (laptop, office)[index % 2]))
        check(max(durations) <= BOUND_S, f"killed {KILLS} times, first ping through after {min(durations):.2f} to "
              f"{max(durations):.2f} s")
        for tunnel in (laptop, office):
            tunnel.wait_active(2)
            count = tunnel.host.run("ip", "-o", "link").stdout.count("\n")
            check_quietly(count == interfaces[tunnel], f"{tunnel.host.name}: {count} interfaces")
            wait_for(f"{tunnel.host.name}: as many descriptors as at first", lambda: tunnel.host.descriptors(
                tunnel.daemon.pid) == descriptors[tunnel])
        check(True, f"as many interfaces and descriptors as before: {list(descriptors.values())}")

        wait_for("the kernel keeps what it kept before", lambda: kept_by_the_kernel(before) == expected)
        check(True, f"no BPF object but those of the living: {expected}")
        for tunnel in (laptop, office):
            tunnel.stop()
            tunnel.nothing_left()
    wait_for("no BPF object left", lambda: not kept_by_the_kernel(before))
    check(True, "no program, map or link left")


if __name__ == "__main__":
    sys.exit(main())
