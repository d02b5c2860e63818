#!/usr/bin/python3
"""change_cost.py SOCKET PID UPLINK PEER KEY COUNT: what single changes cost, as medians in milliseconds.

`thread` is processor time of the daemon's control thread, `answer` the time until the answer is there.
"""

import http.client
import json
import socket
import statistics
import sys
import time
from pathlib import Path


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def main():
    path, pid, uplink, peer, key, count = sys.argv[1:]
    times = Path(f"/proc/{pid}/task/{pid}/schedstat")
    added = {"name": "added", "public_key": key, "allowed_ips": ["10.200.0.1/32"]}
    changes = {
        "peer add": ("POST", "/v1/peers", added),
        "path down": ("PATCH", f"/v1/peers/{peer}/paths/{uplink}", {"enabled": False}),
        "path up": ("PATCH", f"/v1/peers/{peer}/paths/{uplink}", {"enabled": True}),
        "peer remove": ("DELETE", "/v1/peers/added", None),
    }
    cost = {name: {"thread": [], "answer": []} for name in changes}
    for _ in range(int(count)):
        for name, (method, target, body) in changes.items():
            connection = Connection(path)
            before, begin = int(times.read_text().split()[0]), time.monotonic()
            connection.request(method, target, body and json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status < 300, (name, answer.status, text)
            cost[name]["answer"].append((time.monotonic() - begin) * 1e3)
            connection.close()
            time.sleep(0.02)  # for what follows from it
            cost[name]["thread"].append((int(times.read_text().split()[0]) - before) / 1e6)
    print(json.dumps({name: {what: statistics.median(all_) for what, all_ in rows.items()}
                      for name, rows in cost.items()}))


if __name__ == "__main__":
    main()
