#!/usr/bin/python3
"""One-way UDP flows with numbered datagrams.

flow.py receive ADDRESS PORT [COUNT]       prints "ready"; told to end, takes what comes until half a second is silent,
                                           or five while some of COUNT are missing: a busy machine holds them back. Then
                                           {"received", "duplicates", "flows", "gaps": the first ones, as [first missing,
                                           how many]}
flow.py send ADDRESS PORT COUNT RATE [FLOWS] [SIZE]   COUNT datagrams at RATE a second, spread over FLOWS source ports
"""

import ipaddress
import json
import select
import signal
import socket
import struct
import sys
import time

SO_RCVBUFFORCE = 33  # passes net.core.rmem_max


def family(address):
    return socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET


def receive(address, port, count=0):
    listener = socket.socket(family(address), socket.SOCK_DGRAM)
    listener.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
    listener.bind((address, int(port)))
    running = [True]
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: running.clear())
    print("ready", flush=True)
    seen = set()
    flows = set()
    duplicates = 0
    while True:
        patience = 0.5 if running or len(seen) >= int(count) else 5
        if not select.select([listener], [], [], patience)[0]:
            if running or (len(seen) < int(count) and patience < 5):
                continue
            break
        data, sender = listener.recvfrom(65536)
        (number,) = struct.unpack_from("!Q", data)
        duplicates += number in seen
        seen.add(number)
        flows.add(sender)
    print(json.dumps({"received": len(seen), "duplicates": duplicates, "flows": len(flows), "gaps": gaps(seen)}),
          flush=True)


def gaps(seen, most=5):
    """What is missing below the highest number; what is missing at the end nobody here knows of."""
    found = []
    expected = 0
    for number in sorted(seen):
        if number != expected:
            found.append([expected, number - expected])
        expected = number + 1
    return found[:most]


def send(address, port, count, rate, flows=1, size=100):
    sockets = [socket.socket(family(address), socket.SOCK_DGRAM) for _ in range(int(flows))]
    filler = bytes(int(size) - 8)
    start = time.monotonic()
    for number in range(int(count)):
        wait = start + number / float(rate) - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        try:
            sockets[number % len(sockets)].sendto(struct.pack("!Q", number) + filler, (address, int(port)))
        except ConnectionRefusedError:
            pass


if __name__ == "__main__":
    {"receive": receive, "send": send}[sys.argv[1]](*sys.argv[2:])
