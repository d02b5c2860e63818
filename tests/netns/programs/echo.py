#!/usr/bin/python3
"""Echoes what it gets over UDP and TCP, and the other side of it, which compares every byte.

echo.py serve ADDRESS PORT                prints "ready", runs until it is killed
echo.py udp ADDRESS PORT COUNT            random datagrams; prints {"sent", "same"}
echo.py lookalikes ADDRESS PORT DEVICE SOURCE_PORT
                                          from DEVICE, of every size up to 300 bytes, data packets and messages of the
                                          tunnel to look at; prints {"sent", "same"}
echo.py tcp ADDRESS PORT BYTES            one stream; prints {"sent", "same"}
"""

import ipaddress
import json
import os
import random
import socket
import sys
import threading


def family(address):
    return socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET


def serve(address, port):
    def stream(connection):
        while data := connection.recv(65536):
            connection.sendall(data)
        connection.close()

    def streams(listener):
        while True:
            threading.Thread(target=stream, args=(listener.accept()[0],), daemon=True).start()

    listener = socket.create_server((address, int(port)), family=family(address))
    threading.Thread(target=streams, args=(listener,), daemon=True).start()
    datagrams = socket.socket(family(address), socket.SOCK_DGRAM)
    datagrams.bind((address, int(port)))
    print("ready", flush=True)
    while True:
        data, sender = datagrams.recvfrom(65536)
        datagrams.sendto(data, sender)


def exchange(client, datagrams):
    client.settimeout(2)
    same = 0
    for data in datagrams:
        client.send(data)
        try:
            same += client.recv(65536) == data
        except TimeoutError:
            break
    print(json.dumps({"sent": len(datagrams), "same": same}))


def udp(address, port, count):
    client = socket.socket(family(address), socket.SOCK_DGRAM)
    client.connect((address, int(port)))
    exchange(client, [os.urandom(random.randint(1, 1400)) for _ in range(int(count))])


def lookalikes(address, port, device, source_port):
    client = socket.socket(family(address), socket.SOCK_DGRAM)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    client.bind(("", int(source_port)))
    client.connect((address, int(port)))
    headers = [bytes([first, 1, 0, 0, 0, 0, 0, 0]) for first in (0x00, 0x81, 0x82, 0x83)]
    exchange(client, [(header + os.urandom(292))[:size] for size in range(1, 301) for header in headers])


def tcp(address, port, size):
    data = os.urandom(int(size))
    client = socket.create_connection((address, int(port)), 5)
    client.settimeout(20)
    sender = threading.Thread(target=lambda: (client.sendall(data), client.shutdown(socket.SHUT_WR)))
    sender.start()
    back = bytearray()
    while chunk := client.recv(65536):
        back += chunk
    sender.join()
    print(json.dumps({"sent": len(data), "same": len(data) if bytes(back) == data else 0}))


if __name__ == "__main__":
    {"serve": serve, "udp": udp, "lookalikes": lookalikes, "tcp": tcp}[sys.argv[1]](*sys.argv[2:])
