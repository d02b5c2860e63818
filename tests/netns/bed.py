"""What the namespace scenarios share: a test bed, its hosts, a tunnel on a host, and waiting for a condition.

A scenario is a script that brings up one topology of tools/testbed, uses the real `centipede` binary in it, and raises
on the first promise that does not hold. CENTIPEDE_BUILD names the build folder, CENTIPEDE_MODE the receive mode.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("CENTIPEDE_BUILD", SOURCE / "build/release"))
MODE = os.environ.get("CENTIPEDE_MODE", "xdp")
CENTIPEDE = BUILD / "userspace/cli/centipede"
EMULATOR = BUILD / "tools/link-emulator/link-emulator"
TESTBED = SOURCE / "tools/testbed"


def check(condition, what):
    """A promise: raises where it is broken, says so where it holds."""
    if not condition:
        raise AssertionError(what)
    print(f"  ok: {what}", flush=True)


def wait_for(what, condition, seconds=10):
    """Polls until condition() is true and returns what it returned."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def run(*command, **options):
    options.setdefault("check", True)
    return subprocess.run([str(word) for word in command], text=True, capture_output=True, **options)


class Host:
    """One machine of the bed."""

    def __init__(self, bed, name):
        self.bed = bed
        self.name = name
        self.pid = run(TESTBED, "pid", "--bed", bed.name, name).stdout.strip()

    def command(self, *words):
        return ["nsenter", "-t", self.pid, "-n", "-m", "-u", "--", *map(str, words)]

    def run(self, *words, **options):
        try:
            return run(*self.command(*words), **options)
        except subprocess.CalledProcessError as error:
            raise AssertionError(f"{self.name}: {' '.join(map(str, words))}: {error.stdout}{error.stderr}") from error

    def start(self, *words, **options):
        process = subprocess.Popen(self.command(*words), text=True, **options)
        self.bed.processes.append(process)
        return process

    def write(self, path, text, mode=0o600):
        self.run("sh", "-c", f"umask 077; cat > {path}; chmod {mode:o} {path}", input=text)

    def ping(self, address, count=3, interval=0.01, wait=2, size=56):
        """Packets lost of `count`."""
        text = self.run("ping", "-q", "-n", "-c", count, "-i", interval, "-W", wait, "-s", size, address,
                        check=False).stdout
        found = re.search(r"(\d+) packets transmitted, (\d+) received", text)
        return int(found[1]) - int(found[2]) if found else count

    def centipede(self, *words, **options):
        return self.run(CENTIPEDE, *words, **options)


class Tunnel:
    """cp0 on one host: its keys, its configuration file, its daemon."""

    def __init__(self, host, addresses, name="cp0"):
        self.host = host
        self.name = name
        self.addresses = addresses
        self.private_key = host.centipede("genkey").stdout.strip()
        self.public_key = host.centipede("pubkey", input=self.private_key + "\n").stdout.strip()
        self.peers = []
        self.options = {"mode": MODE}
        self.daemon = None
        self.log = Path(f"/run/centipede-testbed/{host.bed.name}/{host.name}-{name}.log")

    def add_peer(self, other, allowed_ips=None, endpoints=(), **options):
        networks = allowed_ips or [re.sub("/.*", "", address) for address in other.addresses]
        self.peers.append({"name": other.host.name, "public_key": other.public_key, "allowed_ips": networks,
                           "endpoints": list(endpoints), **options})

    def configure(self):
        """TOML strings, numbers, booleans and lists of strings look like JSON."""
        lines = ["[interface]", f'private_key = "{self.private_key}"', f"address = {json.dumps(self.addresses)}"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in self.options.items()]
        for peer in self.peers:
            lines += ["", "[[peer]]"] + [f"{key} = {json.dumps(value)}" for key, value in peer.items()]
        self.host.write(f"/etc/centipede/{self.name}.toml", "\n".join(lines) + "\n")

    def attach(self, *uplinks, wait=True):
        self.configure()
        with open(self.log, "a", encoding="utf-8") as log:
            self.daemon = self.host.start(CENTIPEDE, "attach", *uplinks, "-i", self.name, stdout=log, stderr=log)
        if wait:
            wait_for(f"{self.host.name}: {self.name} answers", self.status_or_none)

    def status_or_none(self):
        if self.daemon.poll() is not None:
            raise AssertionError(f"{self.host.name}: attach ended with {self.daemon.returncode}: {self.log.read_text()}")
        answer = self.host.centipede("status", "-i", self.name, "--json", check=False)
        return json.loads(answer.stdout) if answer.returncode == 0 else None

    def status(self):
        return json.loads(self.host.centipede("status", "-i", self.name, "--json").stdout)

    def paths(self, peer=None):
        return [path for one in self.status()["peers"] if peer in (None, one["name"]) for path in one["paths"]]

    def active(self, peer=None):
        return [path for path in self.paths(peer) if path["state"] == "active"]

    def wait_active(self, count, peer=None, seconds=10):
        wait_for(f"{self.host.name}: {count} active paths", lambda: len(self.active(peer)) >= count, seconds)

    def stop(self):
        self.daemon.send_signal(signal.SIGTERM)
        check(self.daemon.wait(10) == 0, f"{self.host.name}: attach ends with 0 on SIGTERM")

    def kill(self):
        self.daemon.kill()
        self.daemon.wait(10)


class Bed:
    """with Bed("pair") as bed: ... Everything is gone afterwards, also when the scenario failed."""

    def __init__(self, topology, *options):
        self.name = f"test{topology}"
        self.arguments = [topology, "--bed", self.name, "--emulator", EMULATOR, *options]
        self.processes = []
        self.tunnels = []

    def __enter__(self):
        run(TESTBED, "down", "--bed", self.name)
        run(TESTBED, "up", *self.arguments)
        return self

    def __exit__(self, kind, error, trace):
        if error is not None:
            print(f"FAILED: {error}", file=sys.stderr)
            for tunnel in self.tunnels:
                with contextlib.suppress(Exception):
                    print(f"--- log of {tunnel.host.name}\n{tunnel.log.read_text()[-4000:]}", file=sys.stderr)
                    print(run(*tunnel.host.command(CENTIPEDE, "status"), check=False).stdout, file=sys.stderr)
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        run(TESTBED, "down", "--bed", self.name)
        return False

    def host(self, name):
        return Host(self, name)

    def tunnel(self, host, addresses, name="cp0"):
        tunnel = Tunnel(host, addresses, name)
        self.tunnels.append(tunnel)
        return tunnel

    def link(self, link, *action):
        return run(TESTBED, "link", "--bed", self.name, link, *action).stdout

    def pair(self, **options):
        """laptop calls office over both links; tunnels configured, not started."""
        laptop = self.tunnel(self.host("laptop"), ["10.10.0.1/24", "fd10::1/64"])
        office = self.tunnel(self.host("office"), ["10.10.0.2/24", "fd10::2/64"])
        for tunnel in (laptop, office):
            tunnel.options.update(options)
        laptop.add_peer(office, endpoints=["10.1.0.2:5820", "10.2.0.2:5820"])
        office.add_peer(laptop)
        return laptop, office

    def attached_pair(self, **options):
        laptop, office = self.pair(**options)
        office.attach("eth0", "wlan0")
        laptop.attach("eth0", "wlan0")
        laptop.wait_active(2)
        office.wait_active(2)
        return laptop, office
