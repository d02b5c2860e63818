#!/usr/bin/python3
"""As a service: it says when it is ready, that it lives, and when it ends. Every thread has the capabilities that
docs/security.md names and no more, with which uplinks still come and go, and the state is saved."""

import re
import sys
import tempfile
from pathlib import Path

from bed import CENTIPEDE, MODE, Bed, check, check_quietly, json, wait_for
from manager import Manager

KEPT = 1 << 12 | 1 << 13 | 1 << 14  # CAP_NET_ADMIN, CAP_NET_RAW, CAP_IPC_LOCK
KEPT_TO_SHARE = KEPT | 1 << 21 | 1 << 38 | 1 << 39  # CAP_SYS_ADMIN, CAP_PERFMON, CAP_BPF
NONE = 0
GROUP = 64321


def capabilities(pid):
    """Of every thread: (bounding, all others together, no_new_privs)."""
    found = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        fields = dict(re.findall(r"^(\w+):\s+(\S+)", (task / "status").read_text(), re.M))
        others = {int(fields[name], 16) for name in ("CapPrm", "CapEff")}
        check_quietly(len(others) == 1 and fields["CapInh"] == fields["CapAmb"] == "0" * 16, f"{task}: {fields}")
        found.add((int(fields["CapBnd"], 16), others.pop(), fields["NoNewPrivs"]))
    return found


def check_dropped(tunnel, by_hand):
    found = capabilities(tunnel.daemon.pid)
    kept = {one[1] for one in found}
    may_share = by_hand and MODE != "udp"
    check(kept in ({KEPT, NONE}, {KEPT_TO_SHARE, NONE}) and (may_share or KEPT_TO_SHARE not in kept),
          f"{tunnel.host.name}: threads have capabilities {sorted(map(hex, kept))}")
    check_quietly(all(one[2] == "1" for one in found), "no thread may gain any")
    if by_hand:
        check_quietly(all(one[0] == one[1] for one in found), f"nor may what they execute: {found}")
    limits = Path(f"/proc/{tunnel.daemon.pid}/limits").read_text()
    check_quietly(re.search(r"Max core file size +0 +0 ", limits), "no core dumps")


def main():
    with Bed("pair") as bed, tempfile.TemporaryDirectory() as folder:
        laptop, office = bed.pair()
        office.attach("eth0", "wlan0")
        manager = Manager(laptop, folder, watchdog_us=200000)
        laptop.host.run("sh", "-c", f"cp /etc/group {folder}/group && echo centipede:x:{GROUP}: >>{folder}/group && "
                                    f"mount --bind {folder}/group /etc/group")
        ready = manager.start("eth0")
        check(laptop.ask("status").returncode == 0 and "STATUS=cp0 over eth0" in ready, f"ready: {ready.splitlines()}")
        for _ in range(3):
            manager.wait_for("WATCHDOG=1")
        check(True, "it lives")
        check_dropped(office, by_hand=True)
        check_dropped(laptop, by_hand=False)

        shown = laptop.host.run("stat", "-c", "%a %g", "/run/centipede/cp0.read", "/run/centipede/cp0.sock").stdout
        check(shown.split() == ["660", str(GROUP), "600", "0"], f"the group may read, root alone may change: {shown.split()}")

        laptop.wait_active(1)
        for _ in range(2):
            # The workers take a moment to let go of the sockets that it had before.
            wait_for("an uplink joins", lambda: laptop.ask("attach", "wlan0").returncode == 0, 2)
            laptop.wait_active(2)
            modes = [one["mode"] for one in laptop.status()["uplinks"]]
            check_quietly(len(set(modes)) == 1 and ("native" in modes[0]) == (MODE == "xdp"), f"as the first: {modes}")
            check_quietly(laptop.ask("detach", "wlan0").returncode == 0, "and leaves")
        check(laptop.host.ping("10.10.0.2", 50) == 0, f"an uplink came and went twice ({modes[0]}), no ping lost")
        state = "/var/lib/centipede/cp0.state"
        wait_for("the office saves what it accepted", lambda: laptop.public_key in json.loads(
            office.host.run("cat", state, check=False).stdout or '{"peers": {}}')["peers"])
        detach = laptop.host.start(CENTIPEDE, "detach", "-i", "cp0")
        check(manager.wait_for("STOPPING=1") and laptop.daemon.wait(10) == 0, "it said that it ends")
        check_quietly(detach.wait(10) == 0, "detach returns")
        check_quietly(not manager.kept, "the interface is not kept beyond that")
        laptop.nothing_left()
        office.stop()
        office.nothing_left()


if __name__ == "__main__":
    sys.exit(main())
