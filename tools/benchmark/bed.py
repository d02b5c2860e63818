"""Two hosts of tools/testbed, laptop and office, and the processes in them.

Nothing of one contender stays for the next: each has a bed of its own, and `down` ends whatever runs inside.
"""

import os
import signal
import subprocess
import time
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("CENTIPEDE_BUILD", SOURCE / "build/release"))
CENTIPEDE = BUILD / "userspace/cli/centipede"
EMULATOR = BUILD / "tools/link-emulator/link-emulator"
TESTBED = SOURCE / "tools/testbed"
TOPOLOGIES = {1: "pair1", 2: "pair", 3: "pair3", 4: "pair4"}
HOSTS = ("laptop", "office")
DEVICES = ("eth0", "wlan0", "wwan0", "wwan1")  # one a link, the same name on both hosts
LAPTOP_ADDRESSES = tuple(f"10.{link}.0.1" for link in range(1, 5))
OFFICE_ADDRESSES = tuple(f"10.{link}.0.2" for link in range(1, 5))


class BenchError(Exception):
    """What went wrong, in words for whoever runs the benchmark."""


def wait_for(what, condition, seconds=15):
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise BenchError(f"{what}: not within {seconds} s")
        time.sleep(0.02)
    return value


def run(*command, **options):
    """The command's standard output."""
    words = [str(word) for word in command]
    options = {"capture_output": True, "timeout": 60} | options
    try:
        done = subprocess.run(words, text=True, check=False, **options)
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"{' '.join(words)}: not done in {error.timeout} s") from error
    if done.returncode != 0:
        said = ((done.stdout or "") + (done.stderr or "")).strip()
        raise BenchError(f"{' '.join(words)}: exit code {done.returncode}: {said[-2000:]}")
    return done.stdout


class Bed:
    """One bed. Not more than one of a name at a time."""

    def __init__(self, name):
        self.name = name
        self.keepers = {}

    def up(self, links, emulated=False):
        wires = ("--emulator", EMULATOR) if emulated else ("--direct",)
        run(TESTBED, "up", TOPOLOGIES[links], "--bed", self.name, *wires)
        self.keepers = {host: int(run(TESTBED, "pid", "--bed", self.name, host)) for host in HOSTS}

    def down(self):
        """Also what a killed run left. A second Ctrl-C does not get in the way."""
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            run(TESTBED, "down", "--bed", self.name, start_new_session=True)
        finally:
            signal.signal(signal.SIGINT, before)
        self.keepers = {}

    def set_delay(self, link, milliseconds):
        """One way, in both directions."""
        run(TESTBED, "link", "--bed", self.name, link, "set", "both", f"delay={milliseconds}ms")

    def inside(self, host, *command, folder="/"):
        """The command line that runs a command on the host, in this folder."""
        return ["nsenter", "--target", str(self.keepers[host]), "--net", "--mount", "--uts", f"--wdns={folder}",
                "--", *(str(word) for word in command)]

    def run(self, host, *command, **options):
        return run(*self.inside(host, *command), **options)

    def start(self, host, *command):
        return subprocess.Popen(self.inside(host, *command), text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL)

    def works(self, host, *command):
        return subprocess.run(self.inside(host, *command), check=False, timeout=30, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0

    def processes(self, host):
        """What runs on the host beside the process that keeps its namespaces."""
        pids = run("ip", "netns", "pids", f"{self.name}-{host}").split()
        return [int(pid) for pid in pids if int(pid) != self.keepers[host]]
