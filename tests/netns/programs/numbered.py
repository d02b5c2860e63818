#!/usr/bin/python3
"""Sends numbered datagrams to the other end, which runs the same, and checks those that come from there.

numbered.py OWN_ADDRESS OTHER_ADDRESS PORT RATE. Prints "ready"; on SIGUSR1 it begins to send, on SIGINT it stops
sending, on SIGTERM it ends and prints {"sent", "refused", "received", "duplicates", "damaged"}. Payloads are 16 to 1300
bytes, made from number and sender.
"""

import hashlib
import json
import select
import signal
import socket
import struct
import sys
import time

SO_RCVBUFFORCE = 33  # passes net.core.rmem_max
HEADER = struct.Struct("!Q")
LARGEST = 1300


class Numbers:
    """A set of numbers that come roughly in order, one bit each."""

    def __init__(self):
        self.bits = bytearray()
        self.count = 0

    def add(self, number):
        """True if it is new."""
        index, bit = number >> 3, 1 << (number & 7)
        if index >= len(self.bits):
            self.bits.extend(bytes(index + 65536 - len(self.bits)))
        new = not self.bits[index] & bit
        self.bits[index] |= bit
        self.count += new
        return new


def payload(sender, number):
    digest = hashlib.blake2b(HEADER.pack(number) + sender.encode(), digest_size=64).digest()
    size = 16 + int.from_bytes(digest[:2], "big") % (LARGEST - 16)
    return HEADER.pack(number) + (digest * (size // 64 + 1))[:size - HEADER.size]


class End:
    def __init__(self, own, other, port, rate):
        self.own, self.other, self.rate = own, (other, int(port)), float(rate)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
        self.socket.bind((own, int(port)))
        self.socket.setblocking(False)
        self.running = True
        self.sending = False
        self.start = 0
        self.sent = self.refused = self.duplicates = self.damaged = 0
        self.received = Numbers()
        signal.signal(signal.SIGUSR1, self.start_sending)
        signal.signal(signal.SIGINT, self.stop_sending)
        signal.signal(signal.SIGTERM, self.stop)

    def start_sending(self, *_):
        self.start = time.monotonic()
        self.sending = True

    def stop_sending(self, *_):
        self.sending = False

    def stop(self, *_):
        self.running = False

    def send(self):
        try:
            self.socket.sendto(payload(self.own, self.sent + self.refused), self.other)
            self.sent += 1
        except OSError:
            self.refused += 1

    def receive(self):
        while True:
            try:
                data, sender = self.socket.recvfrom(65536)
            except BlockingIOError:
                return
            except OSError:  # an ICMP error about an earlier one
                continue
            number = int.from_bytes(data[:HEADER.size], "big")
            if sender != self.other or data != payload(sender[0], number):
                self.damaged += 1
            elif not self.received.add(number):
                self.duplicates += 1

    def run(self):
        while self.running:
            due = self.start + (self.sent + self.refused) / self.rate
            now = time.monotonic()
            if self.sending and now >= due:
                self.send()
                continue
            if select.select([self.socket], [], [], max(0, min(0.1, due - now)) if self.sending else 0.1)[0]:
                self.receive()
        self.receive()
        print(json.dumps({"sent": self.sent, "refused": self.refused, "received": self.received.count,
                          "duplicates": self.duplicates, "damaged": self.damaged}), flush=True)


if __name__ == "__main__":
    end = End(*sys.argv[1:])
    print("ready", flush=True)
    end.run()
