#!/usr/bin/python3
"""What one change by the API costs the control thread, beside 10 peers and beside 10,000: a table. By hand, as root."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "netns"))
from bed import BUILD, Bed, run, wait_for  # noqa: E402

SWARM = BUILD / "tests/netns/swarm"
PEERS = (10, 10_000)
CHANGES = 20


def measured(bed, peers, kill_switch):
    office = bed.tunnel(bed.host("office"), ["10.10.0.2/24"])
    office.options["kill_switch"] = kill_switch
    keys = run(SWARM, "keys", peers + 1).stdout.split()
    for number, key in enumerate(keys[1:]):
        office.peers.append({"name": f"peer{number}", "public_key": key, "allowed_ips":
                             [f"10.{64 + number // 65536}.{number // 256 % 256}.{number % 256}/32"]})
    office.log.write_text("")
    office.attach("eth0", wait=False)
    wait_for("the office runs", lambda: "runs over" in office.log.read_text(), 30)
    cost = office.host.call("change_cost", "/run/centipede/cp0.sock", office.daemon.pid, "eth0", "peer0", keys[0],
                            CHANGES)
    office.stop()
    return cost


def main():
    for kill_switch in (False, True):
        with Bed("pair1") as bed:
            costs = [measured(bed, peers, kill_switch) for peers in PEERS]
        print(f"\n| kill_switch = {str(kill_switch).lower()}: ms, {PEERS[0]:,}; {PEERS[1]:,} peers "
              "| control thread | ratio | answer |\n|---|--:|--:|--:|")
        for change, few in costs[0].items():
            many = costs[1][change]
            print(f"| {change} | {few['thread']:.2f}; {many['thread']:.2f} | {many['thread'] / few['thread']:.1f} "
                  f"| {few['answer']:.2f}; {many['answer']:.2f} |")


if __name__ == "__main__":
    sys.exit(main())
