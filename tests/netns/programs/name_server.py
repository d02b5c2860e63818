#!/usr/bin/python3
"""A name server: name_server.py ADDRESS FILE. FILE holds a JSON object, from names to lists of addresses, and is read at
each question. Runs until it is told to end.
"""

import ipaddress
import json
import socket
import struct
import sys

TYPES = {1: 4, 28: 6}  # A, AAAA: the version of IP
NO_SUCH_NAME = 3


def name_of(question):
    labels = []
    at = 12
    while question[at]:
        labels.append(question[at + 1:at + 1 + question[at]].decode())
        at += 1 + question[at]
    return ".".join(labels).lower(), at + 1


def answer(question, zone):
    name, end = name_of(question)
    kind = struct.unpack("!H", question[end:end + 2])[0]
    addresses = [ipaddress.ip_address(text) for text in zone.get(name, [])]
    addresses = [address for address in addresses if address.version == TYPES.get(kind)]
    code = 0 if name in zone else NO_SUCH_NAME
    head = question[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(addresses), 0, 0)
    rows = [b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(address.packed)) + address.packed
            for address in addresses]
    return head + question[12:end + 4] + b"".join(rows)


def main():
    address, path = sys.argv[1:]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    server = socket.socket(family, socket.SOCK_DGRAM)
    server.bind((address, 53))
    print("ready", flush=True)
    while True:
        question, sender = server.recvfrom(512)
        with open(path, encoding="utf-8") as zone:
            server.sendto(answer(question, json.load(zone)), sender)


if __name__ == "__main__":
    main()
