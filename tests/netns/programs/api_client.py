#!/usr/bin/python3
"""Uses the API of a running tunnel in every way, well and badly, and prints one JSON object of what came.

api_client.py SOCKET PEER KEY: PEER has two paths, one over wlan0; KEY is a public key for a peer that is added.
"""

import json
import os
import select
import socket
import sys
import time


def connect(path):
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    return connection


def ask(path, method, target, body=None):
    """Status and text of the answer."""
    text = "" if body is None else json.dumps(body)
    with connect(path) as connection:
        connection.sendall(f"{method} {target} HTTP/1.1\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    head, _, content = answer.partition("\r\n\r\n")
    return int(head.split()[1]), content


def change(path, method, target, body=None):
    status, text = ask(path, method, target, body)
    if status != 200:
        raise SystemExit(f"{method} {target} {body}: {status} {text}")
    return json.loads(text)


def read_all(path):
    """Status of every resource that needs no name."""
    description = json.loads(ask(path, "GET", "/v1/openapi.json")[1])
    targets = [target for target, methods in description["paths"].items() if "get" in methods and "{" not in target]
    targets.remove("/v1/keylog")  # of tunnels that were started to show it
    targets[targets.index("/v1/events")] = "/v1/events?follow=0"
    return {target: ask(path, "GET", target)[0] for target in targets}


def events_of(path, action):
    """Kinds and texts that a stream brings while action() runs and until one tells of wlan0's path."""
    with connect(path) as stream:
        stream.sendall(b"GET /v1/events HTTP/1.1\r\n\r\n")
        text = stream.recv(65536).decode()
        action()
        deadline = time.monotonic() + 5
        while "removed" not in text and select.select([stream], [], [], max(0, deadline - time.monotonic()))[0]:
            text += stream.recv(65536).decode()
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]


def paths_sending(path, peer):
    return {one["uplink_name"]: one["sending"] for one in json.loads(ask(path, "GET", f"/v1/peers/{peer}/paths")[1])["paths"]}


def wait_sending(path, peer, uplink, wanted):
    deadline = time.monotonic() + 5
    while paths_sending(path, peer).get(uplink) != wanted and time.monotonic() < deadline:
        time.sleep(0.01)
    return paths_sending(path, peer).get(uplink) == wanted


def crowd(path, count):
    """A thousand clients that begin a request and do not end it; somebody else is served meanwhile."""
    idle = []
    served = 0
    for number in range(count):
        connection = socket.socket(socket.AF_UNIX)
        connection.setblocking(False)
        try:
            connection.connect(path)
            connection.send(b"POST /v1/peers HTTP/1.1\r\nContent-Length: 500\r\n\r\n{\"name\": ")
            idle.append(connection)
        except BlockingIOError:  # the queue is full: that is the kernel's answer
            connection.close()
        if number % 100 == 0:
            served += ask(path, "GET", "/v1/policies")[0] == 200
    for connection in idle:
        connection.close()
    return served


def as_another_user(path):
    """What somebody gets who is neither root nor in the group."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setresgid(54321, 54321, 54321)
        os.setresuid(54321, 54321, 54321)
        try:
            connect(path)
            os.write(writing, b"connected")
        except PermissionError:
            os.write(writing, b"refused")
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    return os.read(reading, 100).decode()


def main():
    path, peer, key = sys.argv[1:]
    reading = path.replace(".sock", ".read")
    result = {"read": read_all(path), "read_only": read_all(reading),
              "keylog": [ask(one, "GET", "/v1/keylog")[0] for one in (path, reading)]}
    config = json.loads(ask(path, "GET", "/v1/config")[1])
    change(path, "PUT", "/v1/config", config)
    result["put_back"] = json.loads(ask(path, "GET", "/v1/config")[1]) == config
    result["put_over_reading"] = ask(reading, "PUT", "/v1/config", config)[0]
    result["other_user"] = [as_another_user(path), as_another_user(reading)]

    def add_and_remove():
        change(path, "POST", "/v1/peers", {"name": "added", "public_key": key, "allowed_ips": ["10.77.0.0/16"]})
        change(path, "PATCH", "/v1/peers/added", {"allowed_ips": ["10.78.0.0/16"]})
        change(path, "DELETE", "/v1/peers/added")

    result["events"] = events_of(path, add_and_remove)
    change(path, "PATCH", f"/v1/peers/{peer}/paths/wlan0", {"enabled": False})
    result["down"] = wait_sending(path, peer, "wlan0", False)
    change(path, "PATCH", f"/v1/peers/{peer}/paths/wlan0", {"enabled": None})
    result["up"] = wait_sending(path, peer, "wlan0", True)
    result["ping"] = change(path, "POST", f"/v1/peers/{peer}/ping", {"timeout_ms": 1000})["paths"]
    result["refused"] = [ask(path, *words)[0] for words in (
        ("POST", "/v1/peers", {"public_key": "nonsense"}), ("PATCH", f"/v1/peers/{peer}", {"allowed_ips": ["x"]}),
        ("POST", "/v1/uplinks", {"name": "sixteen-letters!"}), ("POST", "/v1/uplinks", {"name": "missing0"}),
        ("POST", "/v1/uplinks", {"name": "eth0"}), ("GET", "/v1/nothing", None), ("PUT", "/v1/stop", None))]
    result["served_in_the_crowd"] = crowd(path, 1000)
    result["metrics"] = ask(path, "GET", "/v1/metrics")[1]
    result["unchanged"] = json.loads(ask(path, "GET", "/v1/config")[1]) == config
    print(json.dumps(result))


if __name__ == "__main__":
    main()
