"""Wireshark's page: capture, dissector and keys, on the laptop."""

import signal

from bed import check, wait_for

PAGE = "docs/wireshark.md"
TOPOLOGY = "pair"


def run(page, bed):
    tunnel, office = bed.pair(mode="udp")
    laptop = tunnel.host
    page.dress(laptop)
    office.attach("eth0", "wlan0")
    tunnel.configure()
    for command in ("mkdir", "cp tools/wireshark"):
        page.run(laptop, command)
    capture = page.start(laptop, "sudo tcpdump", until="listening on")
    attach = page.attach(laptop)
    keys = page.start(laptop, "(umask 077")
    tunnel.wait_active(2)
    home = page.folders[laptop]
    wait_for("keys are written", lambda: " to office" in laptop.run("cat", f"{home}/keys").stdout)
    pings = laptop.pinging("10.10.0.2", 0.01, 3)
    wait_for("pings are captured", lambda: int(laptop.run("stat", "-c", "%s", f"{home}/capture.pcap").stdout) > 30000)
    pings.nothing_lost("pings")
    attach.says("session keys")
    check("session keys" in laptop.centipede("status").stdout, "the log and status say that keys may leave")
    capture.interrupt()
    keys.interrupt(-signal.SIGINT)
    attach.interrupt()
    for command in ("tshark -r capture.pcap", "tshark -r capture.pcap -X lua_script:tools/wireshark/centipede.lua"):
        check("nitiation" in page.run(laptop, command), "handshakes are shown")
    check(" ICMP " in page.run(laptop, "tshark -r capture.pcap -o centipede.keylog:keys"), "with keys, the pings inside")
