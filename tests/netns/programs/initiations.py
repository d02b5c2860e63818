#!/usr/bin/python3
"""Handshake initiations on the wire.

initiations.py record DEVICE        prints "ready", then the UDP payload of the first that passes, in hexadecimal
initiations.py copy FROM TO COUNT   prints "ready"; each that comes in on FROM goes out COUNT times on TO, from made-up
                                    sources, until it is told to end; then {"seen", "sent", "sent_bytes", "answers",
                                    "answer_bytes"}: what came back on TO for those sources, in bytes of UDP payload
"""

import ipaddress
import json
import select
import signal
import socket
import struct
import sys

ETH_P_ALL = 3
INITIATION = (0x81, 216)  # first byte and length: include/centipede/wire.h
SOURCES = ipaddress.ip_network("198.18.0.0/15")
HEADERS = 14 + 20 + 8


def open_device(device):
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # until it is bound it hears nothing
    wire.bind((device, ETH_P_ALL))
    return wire


def is_udp(frame):
    return len(frame) > HEADERS and frame[12:14] == b"\x08\x00" and frame[14] == 0x45 and frame[23] == 17


def is_initiation(frame):
    return is_udp(frame) and (frame[HEADERS], len(frame) - HEADERS) == INITIATION


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def from_source(frame, index):
    """The same with another source and no UDP checksum, which is valid over IPv4."""
    ip = bytearray(frame[14:34])
    ip[12:16] = SOURCES[1 + index % (SOURCES.num_addresses - 2)].packed
    ip[10:12] = b"\0\0"
    ip[10:12] = struct.pack("!H", checksum(bytes(ip)))
    port = struct.pack("!H", 20000 + index % 40000)
    return frame[:14] + bytes(ip) + port + frame[36:40] + b"\0\0" + frame[HEADERS:]


def record(device):
    wire = open_device(device)
    print("ready", flush=True)
    while not is_initiation(frame := wire.recv(65536)):
        pass
    print(frame[HEADERS:].hex(), flush=True)


def copy(origin, target, count):
    running = [True]
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: running.clear())
    inward, outward = open_device(origin), open_device(target)
    tally = dict.fromkeys(("seen", "sent", "sent_bytes", "answers", "answer_bytes"), 0)
    print("ready", flush=True)
    while running:
        for wire in select.select([inward, outward], [], [], 0.1)[0]:
            frame, (_, _, kind, *_) = wire.recvfrom(65536)
            if kind == socket.PACKET_OUTGOING or not is_udp(frame):
                continue
            if wire is outward:
                if ipaddress.ip_address(frame[30:34]) in SOURCES:
                    tally["answers"] += 1
                    tally["answer_bytes"] += len(frame) - HEADERS
            elif is_initiation(frame):
                tally["seen"] += 1
                for _ in range(int(count)):
                    outward.send(from_source(frame, tally["sent"]))
                    tally["sent"] += 1
                    tally["sent_bytes"] += len(frame) - HEADERS
    print(json.dumps(tally), flush=True)


if __name__ == "__main__":
    {"record": record, "copy": copy}[sys.argv[1]](*sys.argv[2:])
