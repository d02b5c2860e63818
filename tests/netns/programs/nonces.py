#!/usr/bin/python3
"""Looks for a nonce used twice: nonces.py PORT DEVICE... watches what goes out on the wire's ends.

A nonce is known by the session id, which is part of the key, and the first eight bytes, lane and counter. Copies of one
sealed packet are the same bytes; other bytes under the same nonce are a reuse.

Prints "ready". On SIGINT {"nonces", "lanes", "sessions", "reused", "missed"}: different ones, those that were used for
more than one packet, datagrams that this program was too slow to see.
"""

import json
import select
import signal
import socket
import struct
import sys

from delivered import HEADERS, missed, open_device

TYPE_BIT = 0x80


def main():
    port, devices = int(sys.argv[1]), sys.argv[2:]
    wires = [open_device(device) for device in devices]
    running = [True]
    signal.signal(signal.SIGINT, lambda *_: running.clear())
    packets, reused = {}, set()
    print("ready", flush=True)
    while running:
        for wire in select.select(wires, [], [], 0.1)[0]:
            frame, (_, _, kind, *_) = wire.recvfrom(2048)
            if kind != socket.PACKET_OUTGOING or frame[12:14] != b"\x08\x00" or frame[23] != 17:
                continue
            if struct.unpack_from("!H", frame, 36)[0] != port or frame[HEADERS] & TYPE_BIT:
                continue
            nonce = frame[HEADERS:HEADERS + 16]
            if packets.setdefault(nonce, hash(frame[HEADERS:])) != hash(frame[HEADERS:]):
                reused.add(nonce)
    print(json.dumps({"nonces": len(packets), "lanes": len({nonce[0] for nonce in packets}),
                      "sessions": len({nonce[8:] for nonce in packets}), "reused": len(reused),
                      "missed": sum(map(missed, wires))}), flush=True)


if __name__ == "__main__":
    main()
