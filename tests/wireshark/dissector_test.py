#!/usr/bin/python3
"""The Wireshark dissector, over made-up captures: every field of every message, decryption, what is flagged, and that no
bytes make an error in Lua. Expected values come from the frozen transcript of docs/protocol.md, by way of the Python
code that computes it without ours."""

import random
import struct
import sys
import tempfile
from pathlib import Path

from tshark import Datagram, ipv4, rows, tshark, write_capture

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit/crypto"))
import transcript_check  # noqa: E402

HERE = Path(__file__).resolve().parent
KNOWN = transcript_check.transcript()
SID_I, SID_R = 0x0102030405060708, 0x1112131415161718
CONTROL_LANE = 127
PING = bytes([8, 0, 0xF1, 0x87, 0x12, 0x34, 0, 7]) + b"are you there?"  # an echo request of this identifier
INNER = ipv4(PING, (10, 10, 0, 1), (10, 10, 0, 2), protocol=1)
INNER_V6 = struct.pack(">IHBB", 6 << 28, 8, 59, 64) + bytes([0xFD] + [0] * 15) * 2 + b"no next!"
EXPERT = "_ws.expert.message"


def check(condition, what):
    if not condition:
        raise AssertionError(what)
    print(f"  ok: {what}", flush=True)


def sealed(plaintext, counter, lane=0, sid=SID_R, direction="ir"):
    header = struct.pack(">QQ", lane << 56 | counter, sid)
    nonce = bytes(a ^ b for a, b in zip(KNOWN[f"iv_{direction}"], bytes(4) + header[:8]))
    both = transcript_check.seal(KNOWN[f"key_{direction}"], nonce, header, plaintext)
    return header + both[-16:] + both[:-16]


def flipped(datagram, at=-1):
    damaged = bytearray(datagram)
    damaged[at] ^= 1
    return bytes(damaged)


def heartbeat(*, number=5, flags=3, tail=b"\0\0\0"):
    return struct.pack(">BBHIQIIQQQQIB", 0, 1, 2, number, 10**12, 4, 777, 0xAAAABBBBCCCCDDDD, 0x1111222233334444, 1000,
                       2000, 40, flags) + tail


CLOSE = bytes([0, 2]) + bytes(14)


class Bench:
    """A folder with a key file, where captures are written and looked at."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.keylog = self.folder / "keys"
        self.keylog.write_text(
            "# centipede key log 1\n"
            f"{SID_R:016x} {KNOWN['key_ir'].hex()} {KNOWN['iv_ir'].hex()} to the office\n"
            f"{SID_I:016x} {KNOWN['key_ri'].hex()} {KNOWN['iv_ri'].hex()} from the office\n")

    def capture(self, datagrams):
        path = self.folder / "capture.pcap"
        write_capture(path, [one if isinstance(one, Datagram) else Datagram(one) for one in datagrams])
        return path

    def rows(self, datagrams, *fields, keyed=True, show=None):
        return rows(self.capture(datagrams), *fields, keylog=self.keylog if keyed else None, show=show)


def ciphers_match_the_rfc(bench):
    text, _ = tshark(bench.capture([]), script=HERE / "chacha20poly1305_test.lua")
    results = text.splitlines()
    check(len(results) == 14 and all(line.endswith(": right") for line in results),
          f"{len(results)} vectors of RFC 8439 are right: {[line for line in results if 'right' not in line]}")


def handshake_fields(bench):
    initiation, response, reply = KNOWN["initiation"], KNOWN["response"], KNOWN["cookie_reply"]
    datagrams = [initiation, initiation[:200] + b"\x66" * 16, Datagram(reply, back=True), Datagram(response, back=True)]
    seen = bench.rows(datagrams, "_ws.col.Protocol", "centipede.type", "centipede.version", "centipede.sid",
                      "centipede.stream", "centipede.copy_of", "centipede.answer_to", "centipede.answer_time", EXPERT)
    sid = f"0x{SID_I:016x}"
    check(seen == [["Centipede", "1", "1", sid, "0", "", "", "", ""],
                   ["Centipede", "1", "1", sid, "0", "1", "", "", ""],
                   ["Centipede", "3", "1", sid, "0", "", "1", "0.002000000", ""],
                   ["Centipede", "2", "1", sid, "0", "", "1", "0.003000000", ""]],
          f"initiation, its copy, cookie reply and response are told apart and belong together: {seen}")
    seen = bench.rows(datagrams, *(f"centipede.{name}" for name in (
        "ephemeral", "box", "mac1", "mac2", "cookie.nonce", "cookie.sealed", "tag")))
    check(seen[0] == [initiation[16:48].hex(), initiation[48:184].hex(), initiation[184:200].hex(), "00" * 16, "", "", ""]
          and seen[2] == ["", "", "", "", reply[16:24].hex(), reply[24:40].hex(), reply[40:].hex()]
          and seen[3] == [response[16:48].hex(), response[48:152].hex(), response[152:168].hex(), "00" * 16, "", "", ""],
          "each of their fields holds its bytes")
    text, _ = tshark(bench.capture(datagrams), "-2", "-T", "fields", "-e", "centipede.answered_in")
    check(text.split() == ["4", "4"], "in a second pass each copy of the initiation names its answer")


def data_header(bench):
    top = CONTROL_LANE - 1
    datagrams = [KNOWN["data_packet"], KNOWN["data_packet"], sealed(INNER, 2**37 - 1, top),
                 sealed(CLOSE, 0, CONTROL_LANE, SID_I, "ri")]
    seen = bench.rows(datagrams, "centipede.type", "centipede.lane", "centipede.counter", "centipede.sid",
                      "centipede.stream", "centipede.copy_of", "centipede.peer", EXPERT, keyed=False)
    r, i = f"0x{SID_R:016x}", f"0x{SID_I:016x}"
    check(seen == [["0", "3", str(0x0A0B0C), r, "0", "", "", ""], ["0", "3", str(0x0A0B0C), r, "0", "1", "", ""],
                   ["0", str(top), str(2**37 - 1), r, "0", "", "", ""], ["127", "127", "0", i, "1", "", "", ""]],
          f"without keys: lane, counter, session, stream and copies of data packets: {seen}")


def decryption(bench):
    datagrams = [sealed(INNER, 1), sealed(INNER_V6, 2, 1), Datagram(sealed(INNER, 1, 0, SID_I, "ri"), back=True),
                 flipped(sealed(INNER, 3)), flipped(sealed(INNER, 4), 16), sealed(INNER, 5, 0, 0x77),
                 KNOWN["data_packet"]]
    fields = ("centipede.peer", "centipede.direction", "ip.src", "ipv6.src", "icmp.type", "icmp.ident", EXPERT)
    seen = bench.rows(datagrams, *fields)
    outer, wrong = "192.0.2.1", "Wrong tag: damaged or forged"
    check(seen[0] == ["the office", "to", f"{outer},10.10.0.1", "", "8", "4660", ""]
          and seen[1] == ["the office", "to", outer, "fd00::", "", "", ""]
          and seen[2][:3] == ["the office", "from", "203.0.113.5,10.10.0.1"],
          f"with keys: the inner packets are seen: {seen[:3]}")
    check([row[2:] for row in seen[3:5]] == [[outer, "", "", "", wrong]] * 2,
          "a packet with a damaged text or tag is flagged and not shown decrypted")
    check(seen[5] == ["", "", outer, "", "", "", ""], "a packet whose session is not in the key log stays closed")
    seen = bench.rows(datagrams, "data.data", EXPERT, show="frame.number == 7")
    check(seen == [[b"a packet on lane three".hex(), "Plaintext is not exactly one IP packet"]],
          "a plaintext that is no IP packet is flagged, and shown as it is")


def trains(bench):
    parts = [sealed(INNER, counter) for counter in (7, 8, 11)] + [sealed(INNER_V6, 12)]
    train = b"".join(parts)
    seen = bench.rows([train, Datagram(train, captured=len(train) - 1)], "centipede.counter", "icmp.type", "ipv6.plen",
                      EXPERT)
    check(seen[0] == ["7,8,11,12", "8,8,8", "8", ""], f"a train of packets that was captured as one is taken apart: {seen}")
    check(seen[1] == ["7,8,11,12", "8,8,8", "", "Not captured whole"], "also when it is cut")
    zeros = bench.rows([bytes(1400), train + bytes(1000)], "centipede.lane", keyed=False)
    check(zeros == [["0"], ["0,0,0,0"]], f"zeros are no train: {zeros}")


def control_frames(bench):
    def control(plaintext, counter):
        return sealed(plaintext, counter, CONTROL_LANE)
    fields = [f"centipede.heartbeat.{name}" for name in (
        "path", "number", "send_time", "echoed_number", "echo_delay", "token", "token_echo", "packets_sent",
        "packets_received", "heartbeats_received", "flags", "has_echo", "want_echo", "backup")]
    datagrams = [control(heartbeat(), 1), control(CLOSE, 2)]
    seen = bench.rows(datagrams, "centipede.frame.type", *fields, "_ws.col.Info", EXPERT)
    yes, no = (("1", "0") if seen[0][12] == "1" else ("True", "False"))
    check(seen[0][:15] == ["1", "2", "5", str(10**12), "4", "777", "0xaaaabbbbccccdddd", "0x1111222233334444", "1000",
                           "2000", "40", "0x03", yes, yes, no], f"a heartbeat's fields: {seen[0]}")
    check("Heartbeat 5 of path 2, echo of 4" in seen[0][15] and "Close" in seen[1][15] and seen[1][0] == "2"
          and seen[0][16] == seen[1][16] == "", "heartbeat and close in the column Info")
    wrong = [heartbeat()[:-1], heartbeat() + b"\0", CLOSE[:-1], CLOSE + b"\0", b"", b"\0", bytes([0, 3]) + bytes(62),
             bytes([1]) + heartbeat()[1:], INNER]
    seen = bench.rows([control(text, 10 + n) for n, text in enumerate(wrong)], EXPERT)
    check([row[0] for row in seen] == ["Plaintext of the control lane is no frame"] * len(wrong),
          f"what is no frame is flagged: {seen}")
    seen = bench.rows([control(heartbeat(tail=b"\0\1\0"), 30), control(CLOSE[:-1] + b"\1", 31)], EXPERT)
    check([row[0] for row in seen] == ["Reserved bytes are not zero"] * 2, f"padding that is not zero is flagged: {seen}")


def malformed(bench):
    def data(number=0, sid=SID_R, size=20):
        return struct.pack(">QQ", number, sid) + bytes(16 + size)
    initiation = KNOWN["initiation"]
    cases = {
        "No message of this protocol": [b"\x80" + initiation[1:], b"\x84" + bytes(60), b"\xff"],
        "Wrong length": [initiation[:-1], initiation + b"\0", KNOWN["response"][:-1], KNOWN["cookie_reply"] + b"\0",
                         data()[:31], b"\0", b"\x7f\0"],
        "Unknown version": [flipped(initiation, 1), flipped(KNOWN["response"], 1), flipped(KNOWN["cookie_reply"], 1)],
        "Reserved bytes are not zero": [flipped(initiation, at) for at in range(2, 8)],
        "Counter is not below 2^37": [data(2**37), data(2**55), data(5 << 56 | 2**40)],
        "Session id is zero": [data(sid=0), initiation[:8] + bytes(8) + initiation[16:]],
        "Plaintext is not exactly one IP packet": [sealed(text, 50 + n) for n, text in enumerate(
            (b"", INNER[:-1], INNER + b"\0", INNER_V6[:-1], INNER_V6 + b"\0", b"\x60", b"\x45" * 3, b"\x50" + INNER[1:]))],
        "Wrong tag: damaged or forged": [sealed(INNER, 90, sid=SID_I), sealed(INNER, 91, direction="ri")],
        "Not captured whole": [Datagram(initiation, captured=150), Datagram(sealed(INNER, 92), captured=40)],
    }
    for message, datagrams in cases.items():
        seen = [row[0] for row in bench.rows(datagrams, EXPERT, show="centipede")]
        # tshark shows the text that an expert information came with, where it has one.
        expected = {"Wrong length": "bytes"}.get(message, message)
        check(len(seen) == len(datagrams) and all(expected in text for text in seen), f"flagged: {message}: {seen}")


def other_ports(bench):
    def elsewhere(payload, back=False, ports=(40000, 4242)):
        return Datagram(payload, ports, back)
    strange = sealed(INNER, 1, 0, 0x5555)
    seen = bench.rows([elsewhere(strange), elsewhere(KNOWN["initiation"]), elsewhere(KNOWN["response"], back=True),
                       elsewhere(strange), elsewhere(strange, back=True)], "centipede.type", keyed=False)
    check(seen == [[""], ["1"], ["2"], ["0"], ["0"]], f"a handshake on another port makes the conversation ours: {seen}")
    beat = sealed(heartbeat(), 1, CONTROL_LANE, 0x5555)
    seen = bench.rows([elsewhere(beat), elsewhere(strange, ports=(1, 2)), elsewhere(sealed(INNER, 1), ports=(3, 4))],
                      "centipede.type", keyed=True)
    check(seen == [["127"], ["0"], ["0"]], f"so do a heartbeat, a session that is known, and one in the key log: {seen}")
    generator = random.Random(2)
    foreign = [elsewhere(generator.randbytes(generator.randrange(300)), ports=(10_000 + n, 9999)) for n in range(2000)]
    check(bench.rows(foreign, "frame.number", show="centipede") == [], "2,000 foreign datagrams are left alone")


def never_an_error_in_lua(bench):
    messages = [KNOWN["initiation"], KNOWN["response"], KNOWN["cookie_reply"], sealed(INNER, 1), sealed(INNER_V6, 2),
                sealed(heartbeat(), 3, CONTROL_LANE), sealed(CLOSE, 4, CONTROL_LANE)]
    generator = random.Random(1)
    datagrams = []
    for message in messages:
        for size in range(len(message) + 1):
            elsewhere = (10_000 + len(datagrams), 9999)  # a conversation of its own, which nothing has made ours
            datagrams += [Datagram(message[:size]), Datagram(message, captured=size), Datagram(message[:size], elsewhere),
                          Datagram(message, elsewhere[::-1], captured=size)]
    first_bytes = bytes([0, 1, 126, 127, 0x80, 0x81, 0x82, 0x83, 0x84, 0xFF])
    for n in range(10_000):
        payload = bytearray(generator.randbytes(generator.choice((16, 32, 56, 96, 184, 216, generator.randrange(1, 400)))))
        payload[0] = generator.choice(first_bytes)
        if n % 4 == 0:
            payload[8:16] = struct.pack(">Q", generator.choice((SID_I, SID_R)))
        datagrams.append(Datagram(bytes(payload), captured=generator.randrange(len(payload) + 1) if n % 3 == 0 else None))
    for n in range(400):
        lane = generator.choice((0, CONTROL_LANE))
        text = generator.choice((heartbeat(), CLOSE, INNER, INNER_V6, generator.randbytes(generator.randrange(90))))
        mutated = bytearray(text)
        for _ in range(min(len(mutated), generator.randrange(4))):
            mutated[generator.randrange(len(mutated))] = generator.randrange(256)
        datagrams.append(sealed(bytes(mutated), 1000 + n, lane))
    text, _ = tshark(bench.capture(datagrams), "-2", "-V", "-O", "centipede", keylog=bench.keylog)
    frames = sum(line.startswith("Frame ") for line in text.splitlines())
    errors = [line for line in text.splitlines() if "lua" in line.lower()]
    check(frames == len(datagrams), f"{frames} damaged, cut and random datagrams were looked at, twice each")
    check(errors == [], f"no error in Lua: {errors[:3]}")


def key_files(bench):
    capture = bench.capture([sealed(INNER, 1)])
    line = bench.keylog.read_text().splitlines()[1]
    bad = bench.folder / "bad"

    def looked_at(path):
        text, complaints = tshark(capture, "-T", "fields", "-e", "icmp.type", keylog=path)
        return text.strip(), complaints

    bad.write_text(f"{line[:-20]}x\nno key\n{line.replace(' ', '', 1)}\n\n# right:\n{line}\n")
    shown, complaints = looked_at(bad)
    check(shown == "8" and "no lines of a key log" in complaints and complaints.count("3 lines") == 1,
          f"wrong lines are counted, and the right ones used: {complaints}")
    bad.write_text(line)
    check(looked_at(bad) == ("", ""), "a line that is not ended yet is left for later")
    bad.write_bytes(random.Random(3).randbytes(100_000) + b"\n")
    check(looked_at(bad)[0] == "", "random bytes are no key file")
    for path in (bench.folder / "missing", bench.folder):
        shown, complaints = looked_at(path)
        check(shown == "" and "key log" in complaints and str(path) in complaints, f"{path.name}: {complaints}")


def main():
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(folder)
        for promise in (ciphers_match_the_rfc, handshake_fields, data_header, decryption, trains, control_frames, malformed,
                        other_ports, never_an_error_in_lua, key_files):
            promise(bench)


if __name__ == "__main__":
    sys.exit(main())
