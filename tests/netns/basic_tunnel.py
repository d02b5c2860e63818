#!/usr/bin/python3
"""Two hosts, two links: IPv4 and IPv6 inside, TCP both ways, readable maps, and nothing left after a clean exit."""

import sys
from concurrent.futures import ThreadPoolExecutor

from bed import MODE, Bed, check


def main():
    with Bed("pair") as bed:
        laptop, office = bed.attached_pair()
        for address in ("10.10.0.2", "fd10::2"):
            check(laptop.host.ping(address, 50) == 0, f"50 pings to {address}")
        check(laptop.host.ping("10.10.0.2", 20, size=1392) == 0, "pings as large as the MTU")
        check(laptop.host.ping("10.10.0.2", 20, size=4000) == 0, "pings in inner fragments")

        # Not --bidir: iperf3 tells its two streams apart by the order in which they were accepted, so it waits for ever
        # when the second one's handshake, on another worker, overtakes the last packet of the first one's.
        with ThreadPoolExecutor() as pool:
            ways = [pool.submit(bed.iperf, laptop.host, office.host, "10.10.0.2", "-t", "2", *options, port=port)
                    for port, options in ((5201, ()), (5202, ("-R",)))]
            sent, back = (way.result()["end"]["sum_received"]["bytes"] for way in ways)
        check(sent > 1_000_000 and back > 1_000_000, f"TCP both ways at once: {sent} and {back} bytes")

        status = office.status()
        modes = {uplink["name"]: uplink["mode"] for uplink in status["uplinks"]}
        expected = ("udp",) if MODE == "udp" else ("native", "native/zero-copy")
        check(all(mode in expected for mode in modes.values()), f"receive modes {modes}")
        total = status["total"]
        check(total["bad_tag"] == total["bad_source"] == total["malformed"] == 0, "nothing was refused")
        received = total["received_udp"] if MODE == "udp" else total["received_xdp"]
        check(received >= total["delivered"] > 0, f"{received} datagrams received in mode {MODE}")
        check(total["sealed"] * 2 == total["sent"] + total["send_failed"], "one seal a packet, two copies sent")
        if MODE != "udp":
            maps = "/sys/fs/bpf/centipede/cp0"
            sessions = office.host.run("bpftool", "map", "dump", "pinned", f"{maps}/sessions").stdout
            check('"first_word"' in sessions and '"lanes"' in sessions, "bpftool prints the fields of sessions")
            counters = office.host.run("bpftool", "map", "dump", "pinned", f"{maps}/counters").stdout
            check('"redirected"' in counters and '"duplicate"' in counters, "bpftool prints the fields of counters")
            uplinks = office.host.run("bpftool", "map", "dump", "pinned", f"{maps}/uplinks").stdout
            check('"port_be"' in uplinks, "bpftool prints the fields of uplinks")

        laptop.stop()
        office.stop()
        for tunnel in (laptop, office):
            tunnel.nothing_left()


if __name__ == "__main__":
    sys.exit(main())
