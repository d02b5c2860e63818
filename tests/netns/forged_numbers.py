#!/usr/bin/python3
"""Somebody on the wire who knows the session id sends thousands of forged datagrams of every kind: nobody notices."""

import sys

from bed import MODE, PROGRAMS, PYTHON, Bed, check, check_quietly, json, run, wait_for

KINDS = ("far_future", "near_future", "past_limit", "lane", "control", "session", "initiation", "response", "cookie",
         "handshake", "short", "noise")
COUNT = 1200  # of each kind
# At least so many of each reason, in multiples of COUNT. What has a number that was used meanwhile is a duplicate, and
# half of the noise looks like data of an unknown session.
EXPECTED = {"bad_tag": 2, "bad_counter": 1, "bad_lane": 1, "unknown_session": 1, "malformed": 1, "bad_mac1": 1,
            "unexpected": 2}
ENDS = {"office": ("eth0-a", "eth0-b"), "laptop": ("eth0-b", "eth0-a")}  # towards the true sender, towards the victim


def attack(bed, victim, count, *kinds):
    """From the wire's end of a link, so that it arrives where the genuine peer's datagrams do."""
    attacker = (PYTHON, PROGRAMS / "attacker.py", *ENDS[victim.host.name], 5820, count, *kinds)
    return json.loads(run("ip", "netns", "exec", f"{bed.name}-wire", *attacker).stdout)


def refused(tunnel):
    """Everything that the tunnel counted as not for delivery, by where it ends."""
    status = tunnel.status()
    worker = status["total"]
    control = status["control"]
    return {"bad_tag": worker["bad_tag"] + control["control_bad_tag"],
            "bad_lane": tunnel.xdp("bad_lane") + worker["bad_lane"],
            "bad_counter": tunnel.xdp("bad_counter") + worker["bad_counter"],
            "too_old": tunnel.xdp("too_old") + worker["too_old"],
            "unknown_session": tunnel.xdp("unknown_session") + worker["unknown_session"] + control["unknown_session"],
            "malformed": tunnel.xdp("no_message") + worker["malformed"] + control["malformed"],
            "bad_mac1": tunnel.xdp("bad_mac1") + control["bad_mac1"],
            "unexpected": tunnel.xdp("uncalled") + control["unexpected_response"] + control["unexpected_cookie"]}


def wait_until_still(tunnel):
    """Until nothing new has been refused for some rounds: what is queued has been looked at."""
    seen = []

    def still():
        seen.append(refused(tunnel))
        return len(seen) > 20 and seen[-1] == seen[-20]

    wait_for(f"{tunnel.host.name}: everything is counted", still)


def main():
    with Bed("pair") as bed:
        laptop, office = bed.attached_pair()
        warm = laptop.host.pinging("10.10.0.2", 0.002, 1000)
        for tunnel in (office, laptop):
            attack(bed, tunnel, 100, *KINDS)
            tunnel.memory = tunnel.host.memory(tunnel.daemon.pid)
            tunnel.before = refused(tunnel)
            tunnel.delivered = tunnel.total("delivered")
        warm.end()
        pings = laptop.host.pinging("10.10.0.2", 0.002, 1000)
        for tunnel in (office, laptop):
            name = tunnel.host.name
            sent = attack(bed, tunnel, COUNT, *KINDS)
            sent.pop("sid")
            wait_until_still(tunnel)
            after = refused(tunnel)
            counts = {reason: after[reason] - tunnel.before[reason] for reason in after}
            check(all(counts[reason] >= 0.98 * COUNT * times for reason, times in EXPECTED.items()),
                  f"{name}: {sum(sent.values())} forged datagrams, refused: {counts}")
        pings.nothing_lost("under attack")
        for tunnel in (laptop, office):
            name = tunnel.host.name
            check(tunnel.daemon.poll() is None, f"{name}: daemon alive")
            grown = tunnel.host.memory(tunnel.daemon.pid) - tunnel.memory
            check(grown < 2048, f"{name}: {tunnel.memory} KiB resident, grown by {grown} KiB")
            peer = tunnel.status()["peers"][0]
            check(peer["handshakes"] == 1, f"{name}: still the first session")
            check_quietly(len(peer["paths"]) <= 4, f"{name}: no path was learned: {peer['paths']}")
            check(len(tunnel.active()) == 2, f"{name}: both paths active in mode {MODE}")


if __name__ == "__main__":
    sys.exit(main())
