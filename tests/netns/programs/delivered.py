#!/usr/bin/python3
"""Which data packets of the tunnel a host's links delivered: delivered.py PORT DEVICE... on the wire's ends towards it.

Prints "ready". On SIGINT {"packets", "copies", "missed"}: different (session, lane, counter) that went out on any of
the devices, datagrams that carried them, datagrams that this program was too slow to see.
"""

import json
import select
import signal
import socket
import struct
import sys

from numbered import SO_RCVBUFFORCE, Numbers

ETH_P_ALL = 3
SOL_PACKET, PACKET_STATISTICS = 263, 6
HEADERS = 14 + 20 + 8
CONTROL_LANE = 127  # CP_CONTROL_LANE in include/centipede/wire.h; bit 7 of the first byte marks handshakes
COUNTER_BITS = 56


def open_device(device):
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    wire.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
    wire.bind((device, ETH_P_ALL))
    return wire


def missed(wire):
    return struct.unpack("II", wire.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]


def main():
    port, devices = int(sys.argv[1]), sys.argv[2:]
    wires = [open_device(device) for device in devices]
    running = [True]
    signal.signal(signal.SIGINT, lambda *_: running.clear())
    lanes = {}
    copies = 0
    print("ready", flush=True)
    while running:
        for wire in select.select(wires, [], [], 0.1)[0]:
            frame, (_, _, kind, *_) = wire.recvfrom(128)
            if kind != socket.PACKET_OUTGOING or frame[12:14] != b"\x08\x00" or frame[23] != 17:
                continue
            if struct.unpack_from("!H", frame, 36)[0] != port or frame[HEADERS] >= CONTROL_LANE:
                continue
            number, sid = struct.unpack_from("!QQ", frame, HEADERS)
            copies += 1
            lanes.setdefault((sid, number >> COUNTER_BITS), Numbers()).add(number & ((1 << COUNTER_BITS) - 1))
    print(json.dumps({"packets": sum(numbers.count for numbers in lanes.values()), "copies": copies,
                      "missed": sum(map(missed, wires))}), flush=True)


if __name__ == "__main__":
    main()
