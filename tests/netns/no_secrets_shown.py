#!/usr/bin/python3
"""Private and preshared key appear in no log, status, API answer, pinned map or file that the daemon has open or
mapped, and the process can be read neither by others nor through a core dump."""

import base64
import re
import sys
from pathlib import Path

from bed import Bed, check, check_quietly, json, wait_for

# Neither the daemon nor the reader has CAP_SYS_PTRACE: then only the daemon's own protection stands between two
# processes of root.
WITHOUT_PTRACE = ("setpriv", "--bounding-set", "-sys_ptrace", "--")


def spellings(secret):
    """As base64 (any alignment would do for a whole field), hexadecimal and raw bytes."""
    raw = base64.b64decode(secret)
    return {secret.rstrip("=").encode(), raw.hex().encode(), raw.hex().upper().encode(), raw}


def files_of(pid):
    """What the daemon has mapped or open, as far as it is a plain file."""
    paths = {line.split(maxsplit=5)[5] for line in Path(f"/proc/{pid}/maps").read_text().splitlines()
             if len(line.split(maxsplit=5)) == 6 and "/" in line}
    paths |= {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
    root = Path(f"/proc/{pid}/root")
    return [root / path.lstrip("/") for path in sorted(paths) if (root / path.lstrip("/")).is_file()]


def map_bytes(host):
    """Keys and values of every pinned map; the replay windows are left out, which only workers write."""
    for pin in host.run("find", "/sys/fs/bpf/centipede/cp0", "-type", "f", check=False).stdout.split():
        if pin.endswith("windows"):
            continue
        dump = host.run("bpftool", "-j", "map", "dump", "pinned", pin, check=False).stdout
        yield pin, bytes(int(byte, 16) for byte in re.findall(r'"0x([0-9a-f]{2})"', dump))


def shown(tunnel):
    """Everything that can be seen of it from outside, by name."""
    host, pid = tunnel.host, tunnel.daemon.pid
    for words in (["status"], ["status", "--json"], ["doctor"], ["status", "-i", tunnel.name]):
        answer = host.centipede(*words, check=False)
        yield " ".join(words), (answer.stdout + answer.stderr).encode()
    for path in ("/v1/status", "/"):
        answer = host.run("curl", "-s", "--unix-socket", f"/run/centipede/{tunnel.name}.sock", f"http://x{path}",
                          check=False)
        yield f"GET {path}", answer.stdout.encode()
    for name in ("cmdline", "environ", "comm", "status"):
        yield name, Path(f"/proc/{pid}/{name}").read_bytes()
    yield from map_bytes(host)
    for path in [tunnel.log, *files_of(pid)]:
        yield path.name, path.read_bytes()


def main():
    with Bed("pair") as bed:
        laptop, office = bed.pair()
        shared = laptop.host.centipede("genpsk").stdout.strip()
        for tunnel in (laptop, office):
            tunnel.peers[0]["preshared_key"] = shared
            tunnel.wrapper = WITHOUT_PTRACE
        for tunnel in (office, laptop):
            tunnel.attach("eth0", "wlan0")
        laptop.wait_active(2)
        wait_for("a ping", lambda: laptop.host.ping("10.10.0.2", 10) == 0)
        laptop.ask("attach", "missing0")
        for tunnel in (laptop, office):
            name, pid = tunnel.host.name, tunnel.daemon.pid
            seen = 0
            for place, content in shown(tunnel):
                seen += len(content)
                for secret in (tunnel.private_key, shared):
                    check_quietly(not any(one in content for one in spellings(secret)), f"{name}: a secret in {place}")
            check(tunnel.public_key in json.dumps(tunnel.status()) + tunnel.log.read_text() and seen > 100_000,
                  f"{name}: no secret in {seen} bytes that can be seen")
            limits = Path(f"/proc/{pid}/limits").read_text()
            locked = int(re.search(r"VmLck:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])
            check(re.search(r"Max core file size\s+0\s+0", limits) is not None, f"{name}: no core dumps")
            check(locked > 0, f"{name}: {locked} KiB of memory locked")
            other = tunnel.host.start(*WITHOUT_PTRACE, "sleep", "60")
            wait_for("the other process sleeps", lambda: Path(f"/proc/{other.pid}/comm").read_text() == "sleep\n")
            opened = [tunnel.host.run(*WITHOUT_PTRACE, "sh", "-c", f": </proc/{one}/mem", check=False).returncode == 0
                      for one in (pid, other.pid)]
            check(opened == [False, True], f"{name}: its memory cannot be read, that of another process can")


if __name__ == "__main__":
    sys.exit(main())
