"""What the namespace scenarios share: a test bed, its hosts, a tunnel on a host, and waiting for a condition.

A scenario is a script that brings up one topology of tools/testbed, uses the real `centipede` binary in it, and raises
on the first promise that does not hold. CENTIPEDE_BUILD names the build folder, CENTIPEDE_MODE the receive mode,
CENTIPEDE_BED the beginning of the bed's name (so that two runs can stand side by side).
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
BED_PREFIX = os.environ.get("CENTIPEDE_BED", "test")
CENTIPEDE = BUILD / "userspace/cli/centipede"
EMULATOR = BUILD / "tools/link-emulator/link-emulator"
FLOOD = BUILD / "tests/netns/flood"
# Runs of hours, by hand: the same promises, at full length.
LONG = os.environ.get("CENTIPEDE_TEST_LONG") == "1"
TESTBED = SOURCE / "tools/testbed"
PROGRAMS = Path(__file__).resolve().parent / "programs"
PYTHON = "/usr/bin/python3"


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
    """With its output; a command that fails is a broken promise, unless check=False."""
    wanted = options.pop("check", True)
    options.setdefault("timeout", 60)
    try:
        done = subprocess.run([str(word) for word in command], text=True, capture_output=True, **options)
    except subprocess.TimeoutExpired as error:
        raise AssertionError(f"{' '.join(map(str, command))}: not done in {error.timeout} s: {error.stdout}") from error
    if wanted and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: exit code {done.returncode}: {done.stdout}{done.stderr}")
    return done


class Host:
    """One machine of the bed."""

    def __init__(self, bed, name):
        self.bed = bed
        self.name = name
        self.pid = run(TESTBED, "pid", "--bed", bed.name, name).stdout.strip()

    def command(self, *words):
        return ["nsenter", "-t", self.pid, "-n", "-m", "-u", "--", *map(str, words)]

    def run(self, *words, **options):
        return run(*self.command(*words), **options)

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

    def program(self, name, *words):
        """A script of programs/ that prints "ready" and then runs until it is told to end."""
        process = self.start(PYTHON, PROGRAMS / f"{name}.py", *words, stdout=subprocess.PIPE)
        check_quietly(process.stdout.readline() == "ready\n", f"{self.name}: {name} {words} starts")
        return process

    def call(self, name, *words):
        """A script of programs/ that ends by itself and prints one JSON object."""
        text = self.run(PYTHON, PROGRAMS / f"{name}.py", *words).stdout
        return json.loads(text) if text.strip() else None

    def pinging(self, address, interval=0.002, at_least=100, size=56):
        return Pinging(self.program("pinger", address, interval, at_least, size))

    def capture(self, device, expression):
        return Capture(self, device, expression)

    def add_macvlan(self, address):
        """upper0, a device of software on top of eth0, with this address."""
        self.run("ip", "link", "add", "link", "eth0", "name", "upper0", "type", "macvlan", "mode", "bridge")
        self.run("ip", "address", "add", address, "dev", "upper0")
        self.run("ip", "link", "set", "upper0", "up")

    def mac(self, device="eth0"):
        return self.run("cat", f"/sys/class/net/{device}/address").stdout.strip()

    def flood(self, victim, kind, *options, device="eth0", to="10.1.0.2"):
        return Flood(self.command(FLOOD, kind, "--device", device, "--to-mac", victim.mac(device), "--to", to,
                                  *options), self.bed)

    @staticmethod
    def descriptors(pid):
        return len(os.listdir(f"/proc/{pid}/fd"))

    def memory(self, pid):
        """Resident memory of a process in KiB."""
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


def check_quietly(condition, what):
    if not condition:
        raise AssertionError(what)


class Pinging:
    """A ping under way (programs/pinger.py)."""

    def __init__(self, process):
        self.process = process

    def end(self):
        self.process.send_signal(signal.SIGINT)
        text, _ = self.process.communicate(timeout=30)
        return json.loads(text)

    def nothing_lost(self, what):
        report = self.end()
        check(report["received"] == report["sent"] and report["duplicates"] == report["damaged"] == 0,
              f"{what}: {describe_pings(report)}")
        return report


def describe_pings(report):
    lost = report["sent"] - report["received"]
    text = f"{lost} of {report['sent']} pings lost"
    if lost:
        text += f", longest gap {report['longest_gap_s']} s"
    for unwanted in ("duplicates", "damaged", "refused"):
        if report[unwanted]:
            text += f", {report[unwanted]} {unwanted}"
    return text


class Flood:
    """programs/flood.cpp at work."""

    def __init__(self, command, bed):
        self.process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE)
        bed.processes.append(self.process)

    def end(self):
        """Waits until it has lasted its time."""
        text, _ = self.process.communicate(timeout=60)
        check_quietly(self.process.returncode == 0, "flood works")
        return json.loads(text)


class Capture:
    """Lines that tcpdump prints on one device of a host."""

    def __init__(self, host, device, expression):
        self.process = host.start("tcpdump", "-i", device, "-n", "-l", "--immediate-mode", expression,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for line in self.process.stderr:
            if "listening on" in line:
                return
        raise AssertionError(f"tcpdump on {host.name} {device} did not start")

    def end(self):
        self.process.send_signal(signal.SIGINT)
        text, _ = self.process.communicate(timeout=10)
        return [line for line in text.splitlines() if line]  # it ends with an empty one


class Wire:
    """A program of programs/ that watches the wire's ends of links until it is told to report."""

    def __init__(self, bed, program, *words):
        self.process = subprocess.Popen(["ip", "netns", "exec", f"{bed.name}-wire", PYTHON,
                                         PROGRAMS / f"{program}.py", *map(str, words)], text=True,
                                        stdout=subprocess.PIPE)
        bed.processes.append(self.process)
        check_quietly(self.process.stdout.readline() == "ready\n", f"{program} starts")

    def end(self):
        self.process.send_signal(signal.SIGINT)
        return json.loads(self.process.communicate(timeout=30)[0])


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
        self.wrapper = ()  # a command that runs the daemon's own
        self.daemon = None
        self.log = Path(f"/run/centipede-testbed/{host.bed.name}/{host.name}-{name}.log")

    def add_peer(self, other, allowed_ips=None, endpoints=(), **options):
        networks = allowed_ips or [re.sub("/.*", "", address) for address in other.addresses]
        self.peers.append({"name": other.host.name, "public_key": other.public_key, "allowed_ips": networks,
                           "endpoints": list(endpoints), **options})

    def configuration(self):
        """TOML strings, numbers, booleans and lists of strings look like JSON."""
        lines = ["[interface]", f'private_key = "{self.private_key}"', f"address = {json.dumps(self.addresses)}"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in self.options.items()]
        for peer in self.peers:
            lines += ["", "[[peer]]"] + [f"{key} = {json.dumps(value)}" for key, value in peer.items()]
        return "\n".join(lines) + "\n"

    def configure(self):
        self.host.write(f"/etc/centipede/{self.name}.toml", self.configuration())

    def attach(self, *uplinks, wait=True):
        self.configure()
        with open(self.log, "a", encoding="utf-8") as log:
            self.daemon = self.host.start(*self.wrapper, CENTIPEDE, "attach", *uplinks, "-i", self.name, stdout=log,
                                          stderr=log)
        if wait:
            wait_for(f"{self.host.name}: {self.name} answers", self.status_or_none)

    def status_or_none(self):
        if self.daemon.poll() is not None:
            code = self.daemon.returncode
            raise AssertionError(f"{self.host.name}: attach ended with {code}: {self.log.read_text()}")
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

    def total(self, counter):
        return self.status()["total"][counter]

    def xdp(self, counter, uplink=None):
        """A verdict of the XDP program, over all uplinks or on one."""
        return sum(one["xdp"][counter] for one in self.status()["uplinks"] if uplink in (None, one["name"]))

    def refused(self, reason):
        """Handshake datagrams that the XDP program or the control thread refused for this reason."""
        status = self.status()
        early = sum(uplink["xdp"].get(reason, 0) for uplink in status["uplinks"])
        return early + status["control"].get(reason, 0)

    def received(self):
        status = self.status()["total"]
        return status["received_xdp"] + status["received_udp"]

    def ask(self, *words):
        """A command to the running tunnel, whatever its outcome."""
        return self.host.centipede(*words, "-i", self.name, check=False)

    def nothing_left(self, port_free=True):
        """No device, program, pin, socket or bound port of this tunnel."""
        links = self.host.run("ip", "-d", "link").stdout
        check_quietly(self.name not in links and "xdp" not in links,
                      f"{self.host.name}: interface or XDP left: {links}")
        left = self.host.run("find", "/sys/fs/bpf", "/run/centipede", "-mindepth", "1").stdout.split()
        # libxdp's own folder stays, as libxdp wants it.
        kept = ("/sys/fs/bpf/centipede", "/sys/fs/bpf/xdp")
        left = [path for path in left if not path.endswith((".lock", ".debug")) and path not in kept]
        check_quietly(left == [], f"{self.host.name}: left in bpffs and /run: {left}")
        sockets = self.host.run("ss", "-Hlnu").stdout + self.host.run("ss", "-Hn0").stdout
        check_quietly(not port_free or ":5820" not in sockets, f"{self.host.name}: sockets left: {sockets}")
        print(f"  ok: {self.host.name}: no interface, program, pin or socket left", flush=True)

    def stop(self):
        self.daemon.send_signal(signal.SIGTERM)
        check(self.daemon.wait(10) == 0, f"{self.host.name}: attach ends with 0 on SIGTERM")

    def kill(self):
        self.daemon.kill()
        self.daemon.wait(10)


class Bed:
    """with Bed("pair") as bed: ... Everything is gone afterwards, also when the scenario failed."""

    def __init__(self, topology, *options):
        self.name = f"{BED_PREFIX}{topology}"
        self.arguments = [topology, "--bed", self.name, "--emulator", EMULATOR, *options]
        self.processes = []
        self.tunnels = []

    def __enter__(self):
        if os.geteuid() != 0:
            print("needs root", file=sys.stderr)
            sys.exit(77)
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

    def wire(self, *command):
        return run("ip", "netns", "exec", f"{self.name}-wire", *command).stdout

    def link(self, link, *action):
        return run(TESTBED, "link", "--bed", self.name, link, *action).stdout

    def iperf(self, client, server, address, *options, port=5201):
        """iperf3 from one host to `address` of another; its JSON report."""
        listener = server.start("iperf3", "-s", "-1", "-B", address, "-p", port, stdout=subprocess.DEVNULL)
        wait_for("iperf3 listens", lambda: f":{port}" in server.run("ss", "-ltn").stdout)
        report = json.loads(client.run("iperf3", "-c", address, "-p", port, "-J", *options).stdout)
        listener.wait(10)
        return report

    def flow(self, client, server, address, count, rate, flows=1, size=100):
        """`count` numbered UDP datagrams from one host to `address` of another: what arrived (programs/flow.py)."""
        receiver = server.program("flow", "receive", address, 7000, count)
        client.call("flow", "send", address, 7000, count, rate, flows, size)
        receiver.send_signal(signal.SIGINT)
        return json.loads(receiver.communicate(timeout=10)[0])

    def pair(self, endpoints=("10.1.0.2:5820", "10.2.0.2:5820"), **options):
        """laptop calls office over both links; tunnels configured, not started."""
        laptop = self.tunnel(self.host("laptop"), ["10.10.0.1/24", "fd10::1/64"])
        office = self.tunnel(self.host("office"), ["10.10.0.2/24", "fd10::2/64"])
        for tunnel in (laptop, office):
            tunnel.options.update(options)
        laptop.add_peer(office, endpoints=endpoints)
        office.add_peer(laptop)
        return laptop, office

    def attached_pair(self, **options):
        laptop, office = self.pair(**options)
        office.attach("eth0", "wlan0")
        laptop.attach("eth0", "wlan0")
        laptop.wait_active(2)
        office.wait_active(2)
        return laptop, office
