#!/usr/bin/python3
"""Changes a running tunnel through its API, over and over: networks, policy, endpoints and paths of one peer, other
peers that come and go, an uplink's settings; every tenth request is one that must be refused.

changes.py SOCKET PEER COUNT KEY...: KEYs are public keys for peers that are added. Prints {"done", "refused",
"unexpected"}: how many were carried out, how many refused as they had to be, and the first answers that were neither.
"""

import itertools
import json
import socket
import sys


def request(path, method, target, body=None):
    """Status and JSON of the answer."""
    text = "" if body is None else json.dumps(body)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(f"{method} {target} HTTP/1.1\r\nHost: tunnel\r\nContent-Type: application/json\r\n"
                           f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n{text}".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, content = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(content) if content else None


def rounds(peer, endpoints, keys):
    """One change after another, for ever: what comes is taken back by what follows."""
    mine = f"/v1/peers/{peer['name']}"
    own = peer["allowed_ips"]
    for number in itertools.count():
        other, key = f"/v1/peers/other{number % len(keys)}", keys[number % len(keys)]
        network = f"10.{100 + number % 100}.0.0/16"
        yield "PATCH", mine, {"allowed_ips": own + [network]}
        yield "POST", "/v1/peers", {"name": other.rsplit("/", 1)[1], "public_key": key, "allowed_ips": ["10.99.0.0/16"]}
        yield "PATCH", f"{mine}/paths/eth0", {"enabled": False}
        yield "PATCH", mine, {"endpoints": endpoints + [f"10.1.0.{10 + number % 4}:5820"]}
        yield "PATCH", f"{mine}/paths/eth0", {"enabled": True, "priority": number % 7}
        yield "PATCH", mine, {"policy": "backup"}
        yield "PATCH", "/v1/uplinks/wlan0", {"metered": True}
        yield "DELETE", other, None
        yield "PATCH", mine, {"policy": "redundant", "allowed_ips": own, "endpoints": endpoints, "paths": []}
        yield "PATCH", "/v1/uplinks/wlan0", {"metered": False}


def refusals(peer, own_key):
    """What is wrong with each, and the status that says so."""
    mine = f"/v1/peers/{peer['name']}"
    return itertools.cycle([
        (409, "POST", "/v1/peers", {"name": "again", "public_key": peer["public_key"]}),
        (400, "POST", "/v1/peers", {"name": "self", "public_key": own_key, "allowed_ips": ["10.98.0.0/16"]}),
        (400, "PATCH", mine, {"allowed_ips": ["10.1.2.3/99"], "policy": "backup"}),
        (404, "DELETE", "/v1/peers/nobody", None),
        (404, "PATCH", "/v1/uplinks/none0", {"metered": True}),
        (409, "POST", "/v1/uplinks", {"name": "eth0"}),
    ])


def main():
    path, name, count, *keys = sys.argv[1:]
    config = request(path, "GET", "/v1/config")[1]
    own_key = request(path, "GET", "/v1/interface")[1]["public_key"]
    peer = next(one for one in config["peers"] if one["name"] == name)
    result = {"done": 0, "refused": 0, "unexpected": []}
    wrong = refusals(peer, own_key)
    for number, (method, target, body) in enumerate(rounds(peer, peer["endpoints"], keys)):
        if number >= int(count) and number % 10 == 0:
            break
        status, answer = request(path, method, target, body)
        if status == 200:
            result["done"] += 1
        elif len(result["unexpected"]) < 5:
            result["unexpected"].append([method, target, body, status, answer])
        if number % 10 == 4:
            expected, *words = next(wrong)
            status, answer = request(path, *words)
            if status == expected and answer["error"]:
                result["refused"] += 1
            elif len(result["unexpected"]) < 5:
                result["unexpected"].append([*words, status, answer])
    result["unchanged"] = request(path, "GET", "/v1/config")[1] == config
    print(json.dumps(result))


if __name__ == "__main__":
    main()
