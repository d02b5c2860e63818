#!/usr/bin/python3
"""By hand, not among the tests: two hosts, two bad links, new keys every few seconds, traffic both ways for
CENTIPEDE_SOAK_SECONDS (default 3600). Every packet of which any link delivered a copy must arrive, once and whole;
memory and descriptors must stay as they are.
"""

import os
import signal
import sys
import time
from pathlib import Path

from bed import MODE, Bed, Wire, check, check_quietly, json, run, wait_for

SECONDS = int(os.environ.get("CENTIPEDE_SOAK_SECONDS", "3600"))
RATE = int(os.environ.get("CENTIPEDE_SOAK_RATE", "300"))
REKEY_S = 5
SAMPLE_S = 10
BAD_LINK = ("loss=5%", "reorder=5%", "reorder_delay=8ms", "duplicate=2%", "delay=5ms", "jitter=1ms")
ENDS = {"laptop": "a", "office": "b"}


class Watch:
    """Memory and descriptors of the daemons over time."""

    def __init__(self, tunnels):
        self.tunnels = tunnels
        self.samples = []

    def take(self):
        self.samples.append([(tunnel.host.memory(tunnel.daemon.pid), tunnel.host.descriptors(tunnel.daemon.pid))
                             for tunnel in self.tunnels])
        check_quietly(all(tunnel.daemon.poll() is None for tunnel in self.tunnels), "both daemons run")

    def judge(self):
        """The first sixth is for getting warm. After it the last third must not lie above the first third."""
        rest = self.samples[len(self.samples) // 6:]
        third = max(1, len(rest) // 3)
        for index, tunnel in enumerate(self.tunnels):
            memory = [sample[index][0] for sample in rest]
            grown = max(memory[-third:]) - max(memory[:third])
            check(grown < 1024, f"{tunnel.host.name}: {max(memory)} KiB resident, grown by {grown} KiB")
            descriptors = {sample[index][1] for sample in rest}
            check(max(descriptors) - min(descriptors) <= 2, f"{tunnel.host.name}: {descriptors} descriptors")


def wait_until_still(tunnels):
    """Until the links are empty and nothing more is delivered."""
    def delivered():
        return [tunnel.total("delivered") for tunnel in tunnels]

    seen = []
    wait_for("everything under way has arrived", lambda: seen.append(delivered()) or
             (len(seen) > 20 and seen[-1] == seen[-20]), 20)


def used(bed):
    """Seconds of processor that all inside the bed have used, and that those have who ended."""
    pids = run("sh", "-c", f"for n in laptop office wire; do ip netns pids {bed.name}-$n; done").stdout.split()
    ticks = sum(int(value) for pid in pids for value in
                Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13])
    return ticks / os.sysconf("SC_CLK_TCK") + sum(os.times()[2:4])


def quiet(tunnel):
    """Nothing but our own packets goes into the tunnel."""
    tunnel.host.run("sysctl", "-q", "-w", f"net.ipv6.conf.{tunnel.name}.disable_ipv6=1")


def judge_direction(sender, receiver, sent, got, wire):
    """What was sealed and delivered by no link is lost. All else has arrived."""
    lost = sent["sent"] - got["received"]
    lost_on_both = sender.sealed - wire["packets"]
    way = f"{sender.host.name} → {receiver.host.name}"
    check_quietly(wire["missed"] == 0, f"{way}: the wire was watched without a gap")
    # The queue of the TUN device drops where the daemon gets no processor for seconds: no promise of ours, but no pass.
    dropped = sender.host.run("cat", f"/sys/class/net/{sender.name}/statistics/tx_dropped").stdout.strip()
    check_quietly(sender.sealed == sent["sent"],
                  f"{way}: {sent['sent']} sent, {sender.sealed} sealed, {dropped} dropped by the TUN device")
    check(got["damaged"] == got["duplicates"] == 0, f"{way}: {got['received']} arrived whole, none twice")
    check(lost == lost_on_both, f"{way}: {lost} of {sent['sent']} lost, {lost_on_both} of them on both links "
          f"({100 * lost / sent['sent']:.3f} %; {wire['copies']} copies delivered)")


def soak(bed, laptop, office):
    tunnels = (laptop, office)
    watch = Watch(tunnels)
    wires = {tunnel: Wire(bed, "delivered", 5820, *(f"{link}-{ENDS[tunnel.host.name]}" for link in ("eth0", "wlan0")))
             for tunnel in tunnels}
    before = {tunnel: tunnel.total("sealed") for tunnel in tunnels}
    flows = {laptop: laptop.host.program("numbered", "10.10.0.1", "10.10.0.2", 7000, RATE),
             office: office.host.program("numbered", "10.10.0.2", "10.10.0.1", 7000, RATE)}
    for flow in flows.values():
        flow.send_signal(signal.SIGUSR1)
    handshakes = laptop.status()["peers"][0]["handshakes"]
    start = time.monotonic()
    while time.monotonic() < start + SECONDS:
        time.sleep(min(SAMPLE_S, max(0.1, start + SECONDS - time.monotonic())))
        watch.take()
        print(f"{time.monotonic() - start:.0f} s: {watch.samples[-1]}, load {os.getloadavg()[0]:.1f}", flush=True)
    elapsed = time.monotonic() - start
    renewed = laptop.status()["peers"][0]["handshakes"] - handshakes
    for flow in flows.values():
        flow.send_signal(signal.SIGINT)
    wait_until_still(tunnels)
    for flow in flows.values():
        flow.send_signal(signal.SIGTERM)
    reports = {tunnel: json.loads(flow.communicate(timeout=30)[0]) for tunnel, flow in flows.items()}
    seen = {tunnel: wire.end() for tunnel, wire in wires.items()}
    for tunnel in tunnels:
        tunnel.sealed = tunnel.total("sealed") - before[tunnel]
    for sender, receiver in ((laptop, office), (office, laptop)):
        judge_direction(sender, receiver, reports[sender], reports[receiver], seen[receiver])
    check(0.6 * elapsed / REKEY_S <= renewed <= 1.5 * elapsed / REKEY_S + 2, f"{renewed} handshakes in {elapsed:.0f} s")
    watch.judge()


def main():
    with Bed("pair") as bed:
        laptop, office = bed.attached_pair(rekey_seconds=REKEY_S)
        for number, link in enumerate(("eth0", "wlan0")):
            bed.link(link, "set", "both", *BAD_LINK, f"seed={100 + 10 * number}")
        for tunnel in (laptop, office):
            quiet(tunnel)
        wait_until_still((laptop, office))
        start, before = time.monotonic(), used(bed)
        soak(bed, laptop, office)
        share = (used(bed) - before) / (time.monotonic() - start) / os.cpu_count()
        print(f"mode {MODE}: daemons, links and flows used {100 * share:.0f} % of the machine")


if __name__ == "__main__":
    sys.exit(main())
