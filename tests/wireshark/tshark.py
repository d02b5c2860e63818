"""tshark with the dissector of tools/wireshark, and capture files to give it."""

import os
import struct
import subprocess
import tempfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
DISSECTOR = SOURCE / "tools/wireshark/centipede.lua"

RAW_IP = 101  # link type: a frame is an IP packet


def tshark(capture, *options, keylog=None, script=DISSECTOR, needs=0):
    """What it prints. No settings of the user's are read; whatever goes wrong in Lua is an error."""
    words = ["tshark", "-n", "-r", str(capture), "-X", f"lua_script:{script}"]
    if keylog:
        words += ["-o", f"centipede.keylog:{keylog}"]
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "HOME": home, "XDG_CONFIG_HOME": home}
        done = subprocess.run([*words, *map(str, options)], text=True, capture_output=True, timeout=100,
                              env=environment)
    complaints = [line for line in done.stderr.splitlines() if not line.startswith("Running as user")]
    if done.returncode != needs or any("lua" in line.lower() for line in complaints):
        raise AssertionError(f"{' '.join(words)}: exit code {done.returncode}: {done.stderr}")
    return done.stdout, "\n".join(complaints)


def rows(capture, *fields, keylog=None, show=None):
    """For each frame that the display filter `show` takes a list of values; several of one field joined with commas."""
    options = ["-T", "fields", "-E", "separator=/t"]
    for field in fields:
        options += ["-e", field]
    if show:
        options += ["-Y", show]
    text, _ = tshark(capture, *options, keylog=keylog)
    return [line.split("\t") for line in text.splitlines()]


def ipv4(payload, source, destination, protocol=17):
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0x4000, 64, protocol, 0, bytes(source),
                       bytes(destination))
    words = sum(struct.unpack(">10H", head))
    words = (words & 0xFFFF) + (words >> 16)
    return head[:10] + struct.pack(">H", ~(words + (words >> 16)) & 0xFFFF) + head[12:] + payload


class Datagram:
    """A UDP datagram from the laptop to the office, or back."""

    def __init__(self, payload, ports=(40000, 5820), back=False, captured=None):
        ends = ((192, 0, 2, 1), (203, 0, 113, 5))
        source, destination = ends[::-1] if back else ends
        ports = ports[::-1] if back else ports
        self.frame = ipv4(struct.pack(">HHHH", *ports, 8 + len(payload), 0) + payload, source, destination)
        self.captured = len(self.frame) if captured is None else 28 + captured


def write_capture(path, datagrams, link_type=RAW_IP):
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link_type))
        for number, one in enumerate(datagrams):
            file.write(struct.pack("<IIII", 1_700_000_000 + number // 1000, number % 1000 * 1000, one.captured,
                                   len(one.frame)))
            file.write(one.frame[:one.captured])
