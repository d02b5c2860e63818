#!/usr/bin/python3
"""Somebody on the wire: learns a true session id and forges datagrams that seem to come from the genuine sender.

attacker.py FROM TO PORT COUNT KIND...

FROM and TO are the wire's ends towards the genuine sender and towards the victim. Takes addresses and session id from a
datagram that comes in on FROM for UDP port PORT, and sends COUNT datagrams of every KIND out on TO. Prints
{kind: sent, ..., "sid"}.
"""

import json
import os
import random
import socket
import struct
import sys
import time

ETH_P_ALL = 3
COUNTER_LIMIT = 1 << 37  # CP_COUNTER_LIMIT, and the lengths of handshake messages: include/centipede/wire.h
MESSAGES = {"initiation": (1, 216), "response": (2, 184), "cookie": (3, 56)}
BURST = 50  # datagrams, then a pause: a flood of interrupts is not what is tested


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def observe(wire, port):
    """Ethernet, IPv4 and UDP header of a data packet to `port`, and its session id."""
    while True:
        frame, source = wire.recvfrom(65536)
        if source[2] == socket.PACKET_OUTGOING or len(frame) < 14 + 20 + 8 + 32:
            continue
        if frame[12:14] != b"\x08\x00" or frame[14] != 0x45 or frame[23] != socket.IPPROTO_UDP:
            continue
        if struct.unpack_from("!H", frame, 36)[0] == port and frame[42] < 0x7F:
            return frame[:42], frame[50:58], struct.unpack_from("!Q", frame, 42)[0]


def wrap(headers, payload):
    """UDP without a checksum is valid over IPv4."""
    ip = bytearray(headers[14:34])
    struct.pack_into("!H", ip, 2, 28 + len(payload))
    ip[10:12] = b"\0\0"
    ip[10:12] = struct.pack("!H", checksum(bytes(ip)))
    return headers[:14] + bytes(ip) + headers[34:38] + struct.pack("!HH", 8 + len(payload), 0) + payload


def number(lane, counter):
    return struct.pack("!Q", lane << 56 | counter)


def body(low=16, high=1400):
    return os.urandom(random.randint(low, high))


def forge(kind, sid, genuine):
    lane = random.randrange(2)
    if kind == "far_future":
        return number(lane, random.randrange(1 << 20, COUNTER_LIMIT)) + sid + body()
    if kind == "near_future":  # the very numbers that the sender will use next
        return number(genuine >> 56 & 0x7F, (genuine & (COUNTER_LIMIT - 1)) + random.randrange(5000)) + sid + body()
    if kind == "past_limit":
        return number(lane, random.randrange(COUNTER_LIMIT, 1 << 56)) + sid + body()
    if kind == "lane":
        return number(random.randrange(2, 127), random.randrange(1 << 20)) + sid + body()
    if kind == "control":
        return number(127, random.randrange(COUNTER_LIMIT)) + sid + body()
    if kind == "session":
        return number(lane, random.randrange(1 << 20)) + os.urandom(8) + body()
    if kind in MESSAGES:
        code, size = MESSAGES[kind]
        return struct.pack("!BB6x", 0x80 | code, 1) + os.urandom(size - 8)
    if kind == "handshake":
        return bytes([0x80 | random.randrange(128)]) + body(0)
    if kind == "short":
        return (number(lane, 1) + sid + os.urandom(32))[:random.randrange(48)]
    if kind == "noise":
        return body(0)
    raise ValueError(kind)


def main():
    source, target, port, count, kinds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:]
    # Protocol 0 until it is bound: else it would first hear all devices.
    listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    listener.bind((source, ETH_P_ALL))
    headers, sid, genuine = observe(listener, port)
    listener.close()
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # protocol 0: receives nothing
    wire.bind((target, 0))
    sent = dict.fromkeys(kinds, 0)
    for index in range(count):
        for kind in kinds:
            wire.send(wrap(headers, forge(kind, sid, genuine)))
            sent[kind] += 1
        if index % BURST == 0:
            time.sleep(0.005)
    print(json.dumps({**sent, "sid": sid.hex()}))


if __name__ == "__main__":
    main()
