"""In systemd's place, for scenarios about the service: the socket of sd_notify(3), the capabilities that the unit leaves,
and the store of file descriptors that it keeps over a restart."""

import os
import re
import signal
import socket

from bed import CENTIPEDE, PYTHON, SOURCE, check_quietly

UNIT = SOURCE / "packaging/systemd/centipede@.service"
# Runs a command with descriptors from 3 on, as sd_listen_fds(3) has it.
LISTEN = """
import fcntl, os, sys
given = [int(word) for word in sys.argv[1].split(",") if word]
descriptors = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3 + len(given)) for descriptor in given]
for descriptor in given:
    os.close(descriptor)
for index, descriptor in enumerate(descriptors):
    os.dup2(descriptor, 3 + index)
os.environ.update(LISTEN_FDS=str(len(descriptors)), LISTEN_PID=str(os.getpid()),
                  LISTEN_FDNAMES=":".join(["tun"] * len(descriptors)))
os.execvp(sys.argv[2], sys.argv[2:])
"""


def unit_setting(name):
    return re.search(rf"^{name}=(.*)$", UNIT.read_text(), re.M)[1]


def bounding_set():
    """The unit's, in the words of setpriv(1)."""
    names = unit_setting("CapabilityBoundingSet").split()
    return ",".join(["-all"] + ["+" + name.removeprefix("CAP_").lower() for name in names])


class Manager:
    """Of one service."""

    def __init__(self, tunnel, folder, watchdog_us=30_000_000):
        self.tunnel = tunnel
        self.path = f"{folder}/{tunnel.host.name}"
        self.watchdog_us = watchdog_us
        self.kept = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(10)

    def start(self, *uplinks):
        """What the daemon said when it was ready."""
        tunnel = self.tunnel
        tunnel.configure()
        with open(tunnel.log, "a", encoding="utf-8") as log:
            tunnel.daemon = tunnel.host.start(
                "setpriv", "--bounding-set", bounding_set(), "--inh-caps", "-all", "env", f"NOTIFY_SOCKET={self.path}",
                f"WATCHDOG_USEC={self.watchdog_us}", PYTHON, "-c", LISTEN, ",".join(map(str, sorted(self.kept))),
                CENTIPEDE, "attach", *uplinks, "-i", tunnel.name, stdout=log, stderr=log, pass_fds=self.kept)
        return self.wait_for("READY=1\n")

    def next(self):
        text, descriptors, _, _ = socket.recv_fds(self.socket, 4096, 256)
        text = text.decode()
        if text == "FDSTORE=1\nFDNAME=tun":
            self.forget()
            self.kept = descriptors
        elif text == "FDSTOREREMOVE=1\nFDNAME=tun":
            self.forget()
        else:
            check_quietly(not descriptors, f"descriptors with {text}")
        return text

    def wait_for(self, beginning):
        while not (text := self.next()).startswith(beginning):
            check_quietly(text == "WATCHDOG=1" or text.startswith("FDSTORE"), f"{beginning} before {text}")
        return text

    def forget(self):
        for descriptor in self.kept:
            os.close(descriptor)
        self.kept = []

    def restart(self, *uplinks):
        """As `systemctl restart`."""
        self.tunnel.daemon.send_signal(getattr(signal, unit_setting("RestartKillSignal")))
        self.wait_for("STOPPING=1")
        check_quietly(self.tunnel.daemon.wait(10) == 0, f"{self.tunnel.host.name} ends with 0 for a restart")
        check_quietly(self.kept, "the interface is kept")
        self.start(*uplinks)
