#!/usr/bin/python3
"""Sends ICMP echo requests at a fixed interval until it is told to end, and says exactly what came back.

pinger.py ADDRESS INTERVAL_S AT_LEAST [SIZE]. On SIGINT or SIGTERM, but not before AT_LEAST requests, it stops sending,
waits up to 2 s for what is under way and prints {"sent", "received", "duplicates", "damaged", "refused",
"longest_gap_s"}: the gap is the longest time between two sendings that were answered, with a lost one
between them. Unlike ping(8) it leaves no doubt about the last packets.
"""

import ipaddress
import json
import os
import select
import signal
import socket
import struct
import sys
import time

PATIENCE = 2.0
SO_RCVBUFFORCE = 33  # passes net.core.rmem_max
HEADER = struct.Struct("!BBHHH")


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Pinger:
    def __init__(self, address, interval, at_least, size):
        self.v6 = ipaddress.ip_address(address).version == 6
        family = socket.AF_INET6 if self.v6 else socket.AF_INET
        protocol = socket.IPPROTO_ICMPV6 if self.v6 else socket.IPPROTO_ICMP
        self.socket = socket.socket(family, socket.SOCK_RAW, protocol)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
        self.socket.setblocking(False)
        self.address = address
        self.interval = interval
        self.at_least = at_least
        self.filler = os.urandom(max(0, size - 8))
        self.identifier = os.getpid() & 0xFFFF
        self.sent_at = []
        self.answered = bytearray()
        self.duplicates = 0
        self.damaged = 0
        self.refused = 0
        self.running = True
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.end)

    def end(self, *_):
        self.running = False

    def send(self, now):
        number = len(self.sent_at)
        body = struct.pack("!Q", number) + self.filler
        kind = 128 if self.v6 else 8
        packet = HEADER.pack(kind, 0, 0, self.identifier, number & 0xFFFF) + body
        if not self.v6:  # the kernel fills in that of ICMPv6
            packet = HEADER.pack(kind, 0, checksum(packet), self.identifier, number & 0xFFFF) + body
        self.sent_at.append(now)
        self.answered.append(0)
        try:
            self.socket.sendto(packet, (self.address, 0))
        except OSError:
            self.refused += 1

    def receive(self):
        while True:
            try:
                packet = self.socket.recv(65536)
            except BlockingIOError:
                return
            except OSError:  # an ICMP error about an earlier one
                continue
            if not self.v6:
                packet = packet[(packet[0] & 15) * 4:]
            kind, _, _, identifier, _ = HEADER.unpack_from(packet)
            if kind != (129 if self.v6 else 0) or identifier != self.identifier:
                continue
            (number,) = struct.unpack_from("!Q", packet, 8)
            if number >= len(self.sent_at) or packet[16:] != self.filler:
                self.damaged += 1
            elif self.answered[number]:
                self.duplicates += 1
            else:
                self.answered[number] = 1

    def wait(self, seconds):
        if select.select([self.socket], [], [], max(0, seconds))[0]:
            self.receive()

    def run(self):
        due = time.monotonic()
        while self.running or len(self.sent_at) < self.at_least:
            now = time.monotonic()
            if now >= due:
                self.send(now)
                due = max(due + self.interval, now - 10 * self.interval)  # catches up only a little
            self.wait(due - time.monotonic())
        deadline = time.monotonic() + PATIENCE
        while not all(self.answered) and time.monotonic() < deadline:
            self.wait(0.05)

    def longest_gap(self):
        """A run of lost ones, from the answered one before it to the answered one behind it."""
        longest = 0
        last = 0
        for number, answered in enumerate(self.answered):
            if answered:
                if number > last + 1:
                    longest = max(longest, self.sent_at[number] - self.sent_at[last])
                last = number
        if self.answered and last + 1 < len(self.answered):
            longest = max(longest, self.sent_at[-1] - self.sent_at[last])
        return longest

    def report(self):
        return {"sent": len(self.sent_at), "received": sum(self.answered), "duplicates": self.duplicates,
                "damaged": self.damaged, "refused": self.refused, "longest_gap_s": round(self.longest_gap(), 3)}


if __name__ == "__main__":
    pinger = Pinger(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]) if len(sys.argv) > 4 else 56)
    print("ready", flush=True)
    pinger.run()
    print(json.dumps(pinger.report()), flush=True)
