#!/usr/bin/python3
"""kill -9 and start again many times, CENTIPEDE_KILLS of them: up within seconds each time, and the kernel keeps
nothing of the dead: no BPF object, interface, pin, socket or descriptor."""

import os
import sys
import time

from bed import Bed, check, check_quietly, json, run, wait_for

KILLS = int(os.environ.get("CENTIPEDE_KILLS", "20"))
BOUND_S = 6
OURS = ("centipede", "sessions", "session_counters", "windows", "xsks", "uplinks", "counters", "calls", "shield",
        "sources", "unproven", "xdp_dispatcher")


def bpf_objects():
    """Programs, maps and links of the whole machine: (kind, id) → name."""
    found = {}
    for kind in ("prog", "map", "link"):
        for one in json.loads(run("bpftool", "-j", kind, "show").stdout):
            found[kind, one["id"]] = one.get("name", one.get("type", ""))
    return found


def ours(objects):
    return {key: name for key, name in objects.items() if key[0] == "link" or any(name.startswith(o) for o in OURS)}


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
        expected = len(ours({key: name for key, name in bpf_objects().items() if key not in before}))
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

        def same():
            return len(ours({key: name for key, name in bpf_objects().items() if key not in before})) == expected

        wait_for(f"{expected} programs, maps and links of two daemons, as before", same)
        check(True, f"{expected} programs, maps and links of two daemons, as before")
        for tunnel in (laptop, office):
            tunnel.stop()
            tunnel.nothing_left()
    wait_for("no BPF object left", lambda: not ours({k: n for k, n in bpf_objects().items() if k not in before}))
    check(True, "no program, map or link left")


if __name__ == "__main__":
    sys.exit(main())
