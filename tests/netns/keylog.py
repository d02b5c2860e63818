#!/usr/bin/python3
"""Session keys leave a tunnel only when it was started for that, with a warning. With them Wireshark looks into a capture
of both links: handshakes, heartbeats, every ping with its copy, over a peer's restart; a damaged packet is flagged."""

import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

from bed import CENTIPEDE, Bed, check, json, wait_for

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "wireshark"))
from tshark import rows  # noqa: E402

PINGS = 20
INITIATION, RESPONSE, DATA, CONTROL = "1", "2", "0", "127"
FIELDS = ("frame.number", "centipede.type", "centipede.sid", "centipede.lane", "centipede.counter", "centipede.copy_of",
          "centipede.peer", "icmp.type", "icmp.seq", "centipede.heartbeat.number", "_ws.expert.message")


def api_answer(tunnel, target):
    text = tunnel.host.run("curl", "-s", "-w", "\n%{http_code}", "--unix-socket", f"/run/centipede/{tunnel.name}.sock",
                           f"http://x{target}").stdout
    body, _, code = text.rpartition("\n")
    return int(code), body


def start_capture(host, path):
    process = host.start("tcpdump", "-i", "any", "-U", "--immediate-mode", "-Z", "root", "-w", path, "udp port 5820", stderr=subprocess.PIPE)
    for line in process.stderr:
        if "listening on" in line:
            return process
    raise AssertionError("tcpdump did not start")


def look(capture, keys=None):
    return [dict(zip(FIELDS, row)) for row in rows(capture, *FIELDS, keylog=keys, show="centipede")]


def frames_of(content):
    """Where each whole frame of a capture file begins and ends."""
    at = 24
    while at + 16 <= len(content):
        begin = at + 16
        at = begin + struct.unpack_from("<I", content, at + 8)[0]
        if at <= len(content):
            yield begin, at


def data_packets(capture):
    """How many are captured by now: their first byte, after 20 bytes of tcpdump's, IPv4 and UDP, is a lane."""
    content = capture.read_bytes()
    return sum(content[begin + 20 + 28] < 127 for begin, _ in frames_of(content))


def damage(capture, frame, to):
    """A copy of the capture with the last byte of this frame (from 1) another one."""
    content = bytearray(capture.read_bytes())
    _, end = list(frames_of(content))[frame - 1]
    content[end - 1] ^= 1
    to.write_bytes(content)


def check_capture(folder, capture, keys):
    packets = look(capture, keys)
    types = {one["centipede.type"] for one in packets}
    check(types == {INITIATION, RESPONSE, DATA, CONTROL}, f"{len(packets)} datagrams of types {types}")
    data = [one for one in packets if one["centipede.type"] == DATA]
    echoes = [(one["icmp.type"], one["icmp.seq"]) for one in data if one["icmp.type"]]
    check(len(echoes) == len(data) and len(set(echoes)) == 2 * PINGS, f"{len(data)} data packets, all of them pings")
    numbers = [(one["centipede.sid"], one["centipede.lane"], one["centipede.counter"]) for one in data]
    copies = sum(one["centipede.copy_of"] != "" for one in data)
    check(len(set(numbers)) == copies == 4 * PINGS,
          f"{len(set(numbers))} packets, each with a number of its own, and {copies} copies")
    beats = [one for one in packets if one["centipede.type"] == CONTROL]
    check(all(one["centipede.heartbeat.number"] for one in beats) and len(beats) > 20, f"{len(beats)} heartbeats")
    check(not any(one["_ws.expert.message"] for one in packets), "nothing is flagged")
    check({one["centipede.peer"] for one in data + beats} == {"office"}, "each is known to be of the peer")

    closed = look(capture)
    check([one["centipede.type"] for one in closed] == [one["centipede.type"] for one in packets]
          and not any(one["icmp.type"] or one["centipede.heartbeat.number"] for one in closed),
          "without the keys the same datagrams are seen, and nothing inside them")

    victim = data[PINGS]["frame.number"]
    damaged = folder / "damaged.pcap"
    damage(capture, int(victim), damaged)
    flagged = [one for one in look(damaged, keys) if one["_ws.expert.message"]]
    check(len(flagged) == 1 and flagged[0]["frame.number"] == victim and flagged[0]["icmp.type"] == ""
          and "Wrong tag" in flagged[0]["_ws.expert.message"], f"frame {victim}, damaged, is flagged, and it alone")


def main():
    with Bed("pair") as bed:
        laptop, office = bed.pair(heartbeat_ms=100)
        folder = laptop.log.parent
        capture, keys = folder / "capture.pcap", folder / "keys"
        dump = start_capture(laptop.host, capture)
        office.attach("eth0", "wlan0")
        laptop.attach("eth0", "wlan0", "--allow-keylog")
        laptop.wait_active(2)

        refused = office.ask("keylog")
        code, body = api_answer(office, "/v1/keylog")
        check(refused.returncode == 1 and "--allow-keylog" in refused.stderr and refused.stdout == "",
              f"not started for it: {refused.stderr.strip()}")
        check(code == 403 and list(json.loads(body)) == ["error"], f"nor over the API: {code}")
        check(laptop.status()["keylog_allowed"] and not office.status()["keylog_allowed"]
              and "--allow-keylog" in laptop.ask("status").stdout, "status says which one is")

        following = laptop.host.start(CENTIPEDE, "keylog", "-i", laptop.name, "-o", keys, "--follow",
                                      stderr=subprocess.PIPE)
        wait_for("keys", lambda: keys.exists() and keys.read_text().count("\n") >= 3)
        check(os.stat(keys).st_mode & 0o7777 == 0o600, "the file is for its owner alone")
        check(laptop.host.ping("10.10.0.2", PINGS) == 0, "pings of the first session")
        first = set(keys.read_text().splitlines())
        office.kill()
        office.attach("eth0", "wlan0")
        # A new session, the keys of which are written.
        wait_for("keys of a new session", lambda: len(set(keys.read_text().splitlines()) - first) >= 2)
        office.wait_active(2)
        laptop.wait_active(2)
        check(laptop.host.ping("10.10.0.2", PINGS) == 0, "pings of the next session")
        wait_for("the capture holds every ping twice", lambda: data_packets(capture) >= 8 * PINGS)
        dump.send_signal(signal.SIGINT)
        dump.wait(10)
        laptop.stop()
        _, warnings = following.communicate(timeout=10)
        check(following.returncode == 0 and "warning" in warnings and "has ended" in warnings,
              "keylog warns, and ends with the tunnel")
        said = laptop.log.read_text()
        check("--allow-keylog" in said and "session keys are handed out" in said, "so does the log")
        check_capture(folder, capture, keys)


if __name__ == "__main__":
    sys.exit(main())
