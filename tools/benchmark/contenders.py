"""What is measured: each contender is two shell scripts that start the two ends of a tunnel.

A command file (TOML) describes one; docs/performance.md has the format, contenders/ the ones that come along.
"""

import base64
import json
import os
import subprocess
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

from .bed import CENTIPEDE, DEVICES, HOSTS, LAPTOP_ADDRESSES, OFFICE_ADDRESSES, BenchError, wait_for

FOLDER = Path(__file__).resolve().parent / "contenders"
RAW = "raw veth"
WIREGUARD_GO = "wireguard-go"
OURS = "centipede"  # how the names of this project's contenders begin

KEYS = {"name": str, "address": str, "mtu": int, "links": int, "check": str, "prepare": str, "laptop": str,
        "office": str, "ready": str, "note": str}
NEEDED = ("name", "address", "mtu", "laptop", "office")


@dataclass(frozen=True)
class Contender:
    """The scripts run under sh -eu in a folder that both ends share and nobody else; see docs/performance.md."""

    name: str
    address: str  # of the office inside the tunnel, IPv4
    mtu: int
    laptop: str
    office: str
    links: int = 1
    check: str = ""
    prepare: str = ""
    ready: str = ""
    note: str = ""


class Skipped(BenchError):
    """This machine cannot run the contender."""


def parse(text, source):
    """The contender that a command file describes."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BenchError(f"{source}: {error}") from error
    for key, value in values.items():
        if key not in KEYS:
            raise BenchError(f"{source}: unknown key '{key}'; known are {', '.join(KEYS)}")
        if type(value) is not KEYS[key]:
            raise BenchError(f"{source}: '{key}' must be {'a number' if KEYS[key] is int else 'text'}")
    missing = [key for key in NEEDED if not values.get(key)]
    if missing:
        raise BenchError(f"{source}: lacks {', '.join(missing)}")
    if not 1 <= values.get("links", 1) <= len(DEVICES):
        raise BenchError(f"{source}: 'links' must be 1 to {len(DEVICES)}")
    if not 576 <= values["mtu"] <= 65535:
        raise BenchError(f"{source}: 'mtu' must be 576 to 65535")
    return Contender(**values)


def load(path):
    try:
        return parse(Path(path).read_text(encoding="utf-8"), path)
    except OSError as error:
        raise BenchError(f"{path}: {error.strerror}") from error


def raw(name=RAW):
    return Contender(name, OFFICE_ADDRESSES[0], 1500, laptop="", office="", note="no tunnel")


def strangers(count):
    """Configuration of so many peers that never call."""
    return "".join(f'[[peer]]\npublic_key = "{base64.b64encode(public_key()).decode()}"\n'
                   f'allowed_ips = ["10.{64 + (n >> 16)}.{n >> 8 & 255}.{n & 255}/32"]\n' for n in range(count))


def public_key():
    # By the library itself: a process for each of 10,000 keys takes minutes.
    import ctypes  # pylint: disable=import-outside-toplevel
    sodium = ctypes.CDLL("libsodium.so.23")
    public, secret = ctypes.create_string_buffer(32), ctypes.create_string_buffer(64)
    sodium.crypto_sign_seed_keypair(public, secret, os.urandom(32))
    return public.raw


def centipede(name, mode, links=1, policy="redundant", workers=0, peers=1):
    """This project. `peers` counts those in the office's file, of which the laptop is one; workers 0 is its default."""
    uplinks = DEVICES[:links]

    def script(number, own, peer, endpoints, others=""):
        return f"""umask 077
cat > /etc/centipede/cp0.toml <<END
[interface]
private_key = "$(cat {own}.key)"
address = ["10.10.0.{number}/24"]
mode = "{mode}"
mtu = 1420
workers = {workers}
[[peer]]
name = "{peer}"
public_key = "$(cat {peer}.public)"
allowed_ips = ["10.10.0.{3 - number}/32"]
endpoints = {json.dumps(endpoints)}
policy = "{policy}"
END
{others}{CENTIPEDE} attach {' '.join(uplinks)} &
"""

    prepare = "".join(f"{CENTIPEDE} genkey > {host}.key\n{CENTIPEDE} pubkey < {host}.key > {host}.public\n"
                      for host in HOSTS)
    others = ""
    if peers > 1:
        others = f"cat >> /etc/centipede/cp0.toml <<END\n{strangers(peers - 1)}END\n"
    # The first packet may have found one path before the others are there.
    ready = f"""test "$({CENTIPEDE} status -i cp0 --json | grep -o '"state": *"active"' | wc -l)" -ge $LINKS"""
    return Contender(name, "10.10.0.2", 1420, links=links, prepare=prepare, ready=ready,
                     laptop=script(1, "laptop", "office", [f"{address}:5820" for address in OFFICE_ADDRESSES[:links]]),
                     office=script(2, "office", "laptop", [], others), note="ChaCha20-Poly1305")


def built_in():
    ours = [centipede(f"{OURS} {mode}, {what}", mode, links, policy)
            for what, links, policy in (("1 link", 1, "redundant"), ("2 links redundant", 2, "redundant"),
                                        ("2 links backup", 2, "backup"))
            for mode in ("xdp", "udp")]
    others = [load(FOLDER / f"{name}.toml") for name in (WIREGUARD_GO, "wireguard-kernel", "fastd", "openvpn")]
    return [raw(), *ours, *others]


def answers(bed, contender):
    """A packet as long as the MTU gets through unfragmented, which also shows that the MTU is no smaller."""
    return bed.works("laptop", "ping", "-n", "-q", "-c", "1", "-W", "0.2", "-M", "do", "-s", contender.mtu - 28,
                     contender.address)


def start(bed, contender, folder):
    """Starts both ends on a bed that is up, in this folder. Returns the seconds until the tunnel carried a packet."""
    log = Path(folder) / "log"
    environment = os.environ | variables(contender)

    def shell(script, name, host=None):
        # A file, because 10,000 peers are more than an argument may be long.
        path = Path(folder) / f"{name}.sh"
        path.write_text(script, encoding="utf-8")
        command = ("sh", "-eu", path)
        with log.open("a", encoding="utf-8") as output:
            return subprocess.run(bed.inside(host, *command, folder=folder) if host else command, cwd=folder,
                                  env=environment, check=False, timeout=60, stdin=subprocess.DEVNULL, stdout=output,
                                  stderr=output).returncode == 0

    try:
        if contender.check and not shell(contender.check, "check", "laptop"):
            raise Skipped((lines(log) or ["its check fails"])[-1])
        if contender.prepare and not shell(contender.prepare, "prepare"):
            raise BenchError("its preparation fails")
        begin = time.monotonic()
        for host, script in (("office", contender.office), ("laptop", contender.laptop)):
            if not shell(script, host, host):
                raise BenchError(f"its script of the {host} fails")
        wait_for(f"no packet of {contender.mtu} bytes gets through", lambda: answers(bed, contender), 60)
        seconds = time.monotonic() - begin
        if contender.ready:
            wait_for("it does not get ready", lambda: shell(contender.ready, "ready", "laptop"), 60)
        return seconds
    except Skipped:
        raise
    except (BenchError, subprocess.TimeoutExpired) as error:
        raise BenchError("\n".join([f"{contender.name}: {error}", *lines(log)[-30:]])) from error


def variables(contender):
    """What the scripts find in their environment."""
    found = {"MTU": str(contender.mtu), "LINKS": str(contender.links)}
    for host, addresses in (("LAPTOP", LAPTOP_ADDRESSES), ("OFFICE", OFFICE_ADDRESSES)):
        found |= {f"{host}_{link}": addresses[link - 1] for link in range(1, contender.links + 1)}
    return found


def lines(log):
    return log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
