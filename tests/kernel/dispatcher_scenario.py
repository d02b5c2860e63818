#!/usr/bin/python3
"""Several XDP programs on one uplink, through libxdp's dispatcher: on a kernel that allows it, which is most of them.

Two hosts joined by two plain veth pairs; beside the tunnel run xdp-filter, a program loaded by xdp-loader, and a second
tunnel, in every order. In one command, in an emulated machine (see run-in-kernel), needing xdp-tools and a build:

    tests/kernel/run-in-kernel --timeout 600 tests/kernel/dispatcher_scenario.py

CENTIPEDE_BUILD names the build folder (build/release). It also runs by itself where the kernel lets programs be
replaced (freplace); elsewhere it ends with 77. Not among the ordinary tests: it takes minutes without a real CPU.
"""

import json
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "netns"))

from bed import Bed, check, check_quietly, run, wait_for  # noqa: E402

OURS = "centipede_xdp"
FILTER = "xdpfilt_alw_all"
DENIES_TCP = Path("/usr/lib/x86_64-linux-gnu/bpf/xdpfilt_dny_tcp.o")
BLOCKED, OPEN = 7777, 7778


def programs(host, device):
    """Names in the device's dispatcher in the order they run; [] without one."""
    names = []
    inside = False
    for line in host.run("xdp-loader", "status", device).stdout.splitlines():
        if line.startswith(device):
            inside = "xdp_dispatcher" in line
        found = re.match(r"\s*=>\s+\d+\s+(\S+)", line)
        if inside and found:
            names.append(found[1])
    return names


def on_device(host, device):
    """The program the kernel runs on the device, whoever attached it; None without one."""
    for one in json.loads(host.run("ip", "-j", "-d", "link", "show", "dev", device).stdout):
        if "xdp" in one:
            return one["xdp"]["prog"]["name"]
    return None


def expect(host, device, names):
    wait_for(f"{host.name} {device}: {names}, not {programs(host, device)}", lambda: programs(host, device) == names)
    check_quietly(bool(names) == (on_device(host, device) is not None), f"{host.name} {device}: nothing beside it")
    print(f"  ok: {host.name} {device}: {names or 'no dispatcher'}", flush=True)


def pings(tunnel, address, what):
    before = tunnel.status()["total"]["received_xdp"]
    check(tunnel.host.ping(address, 20, 0.02) == 0, f"{what}: 20 pings through {tunnel.name}")
    received = tunnel.status()["total"]["received_xdp"] - before
    check(received >= 20, f"{what}: {received} datagrams came in through XDP")


def modes(tunnel, what):
    found = {one["name"]: one["mode"] for one in tunnel.status()["uplinks"]}
    check(all(mode.startswith("native") for mode in found.values()), f"{what}: {tunnel.host.name} receives by {found}")


RECEIVER = """
import socket, sys
sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in sys.argv[1:]]
for one, port in zip(sockets, sys.argv[1:]):
    one.bind(("0.0.0.0", int(port)))
    one.settimeout(3)
print("ready", flush=True)
sys.stdin.readline()
for one in sockets:
    one.setblocking(False)
    count = 0
    try:
        while one.recv(100):
            count += 1
    except BlockingIOError:
        pass
    print(count)
"""
SENDER = """
import socket, sys
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for port in sys.argv[2:]:
    for _ in range(10):
        one.sendto(b"hello", (sys.argv[1], int(port)))
"""


def filter_works(host, address, other, what, works=True):
    """xdp-filter on `host` drops UDP to one port and lets it through to another."""
    receiver = host.start("/usr/bin/python3", "-c", RECEIVER, BLOCKED, OPEN, stdin=-1, stdout=-1)
    receiver.stdout.readline()
    other.run("/usr/bin/python3", "-c", SENDER, address, BLOCKED, OPEN)
    other.run("ping", "-c", "1", "-W", "2", address)  # behind them
    text, _ = receiver.communicate("\n", timeout=20)
    check([int(word) for word in text.split()] == [0 if works else 10, 10],
          f"{what}: the filter {'works' if works else 'is gone'}")


def load_filter(host, device):
    host.run("xdp-filter", "load", "-m", "native", device)
    host.run("xdp-filter", "port", BLOCKED, "-m", "dst", "-p", "udp")


def one_tunnel(laptop, office):
    for tunnel in (laptop, office):
        modes(tunnel, "alone")
        for device in ("eth0", "wlan0"):
            expect(tunnel.host, device, [OURS])
            check_device(tunnel.host, device)
    print(laptop.host.run("bpftool", "net").stdout, flush=True)
    print(laptop.host.run("xdp-loader", "status").stdout, flush=True)
    pings(laptop, "10.10.0.2", "alone")
    pings(laptop, "fd10::2", "alone")


def check_device(host, device):
    text = host.run("bpftool", "net").stdout
    check(f"{device}(" in text, f"{host.name} {device}: bpftool net shows it")


def filter_after(laptop, office):
    load_filter(office.host, "eth0")
    expect(office.host, "eth0", [FILTER, OURS])
    filter_works(office.host, "10.1.0.2", laptop.host, "loaded after attach")
    pings(laptop, "10.10.0.2", "filter loaded after attach")
    pings(office, "10.10.0.1", "filter loaded after attach")
    check(office.xdp("redirected", "eth0") > 0, "and our program runs behind it")


def behind_ours(laptop, office):
    """A program of lower priority sees what ours passes, and not what ours takes."""
    office.host.run("xdp-loader", "load", "-m", "native", "-P", "60", "eth0", DENIES_TCP)
    expect(office.host, "eth0", [FILTER, OURS, "xdpfilt_dny_tcp"])
    refused = laptop.host.run("/usr/bin/python3", "-c", "import socket; socket.create_connection(('10.1.0.2', 9), 1)",
                              check=False)
    check("imeout" in refused.stderr or "timed out" in refused.stderr, "TCP is dropped by a program behind ours")
    pings(laptop, "10.10.0.2", "a program behind ours")
    line = next(one for one in office.host.run("xdp-loader", "status", "eth0").stdout.splitlines() if "dny_tcp" in one)
    office.host.run("xdp-loader", "unload", "eth0", "--id", re.search(r"dny_tcp\s+(\d+)", line)[1])
    expect(office.host, "eth0", [FILTER, OURS])


def live_detach(laptop, office):
    check(laptop.ask("detach", "wlan0").returncode == 0, "detach wlan0")
    expect(laptop.host, "wlan0", [])
    check(laptop.ask("attach", "wlan0").returncode == 0, "attach wlan0")
    expect(laptop.host, "wlan0", [OURS])
    laptop.wait_active(2, seconds=30)
    modes(laptop, "attached again")
    check(office.ask("detach", "eth0").returncode == 0, "detach eth0 beside the filter")
    expect(office.host, "eth0", [FILTER])
    filter_works(office.host, "10.1.0.2", laptop.host, "after our detach")
    check(office.ask("attach", "eth0").returncode == 0, "attach eth0 beside the filter: now the filter was first")
    expect(office.host, "eth0", [FILTER, OURS])
    office.wait_active(2, seconds=30)
    modes(office, "attached again")
    pings(laptop, "10.10.0.2", "attached again")
    filter_works(office.host, "10.1.0.2", laptop.host, "after our attach")


def killed(laptop, office):
    for round_ in range(2):
        office.kill()
        check(OURS in programs(office.host, "eth0"), "killed: the entry outlives the process")
        office.attach("eth0", "wlan0")
        expect(office.host, "eth0", [FILTER, OURS])
        expect(office.host, "wlan0", [OURS])
        office.wait_active(2, seconds=30)
        laptop.wait_active(2, seconds=30)
        modes(office, f"after kill {round_ + 1}")
        pings(laptop, "10.10.0.2", f"after kill {round_ + 1}")
    office.host.run("xdp-filter", "unload", "eth0")
    expect(office.host, "eth0", [OURS])
    filter_works(office.host, "10.1.0.2", laptop.host, "unloaded", works=False)
    pings(laptop, "10.10.0.2", "filter unloaded")


def second_tunnel(bed, laptop, office):
    """A device's queues have one owner among the AF_XDP sockets: the other tunnel shares the device over UDP."""
    laptop1 = bed.tunnel(laptop.host, ["10.11.0.1/24"], "cp1")
    office1 = bed.tunnel(office.host, ["10.11.0.2/24"], "cp1")
    for tunnel in (laptop1, office1):
        tunnel.options["listen_port"] = 5821
    laptop1.add_peer(office1, endpoints=["10.1.0.2:5821", "10.2.0.2:5821"])
    office1.add_peer(laptop1)
    for tunnel in (office1, laptop1):
        tunnel.configure()
        answer = tunnel.host.centipede("attach", "eth0", "-i", "cp1", check=False)
        said = (answer.stdout + answer.stderr).strip().splitlines()[-1]
        check(answer.returncode == 1 and "busy" in said, f"{tunnel.host.name}: cp1 in mode xdp: {said}")
        tunnel.options["mode"] = "auto"
        tunnel.attach("eth0", "wlan0")
        found = [one["mode"] for one in tunnel.status()["uplinks"]]
        check(found == ["udp", "udp"], f"{tunnel.host.name}: cp1: {found}")
        expect(tunnel.host, "eth0", [OURS])
    for tunnel in (office1, laptop1):
        tunnel.wait_active(2, seconds=30)
    check(laptop1.host.ping("10.11.0.2", 20, 0.02) == 0, "20 pings through cp1 beside cp0")
    pings(laptop, "10.10.0.2", "beside cp1")
    for tunnel in (laptop1, office1):
        tunnel.stop()
        for device in ("eth0", "wlan0"):
            expect(tunnel.host, device, [OURS])
    modes(laptop, "cp1 stopped")
    pings(laptop, "10.10.0.2", "cp1 stopped")


def device_gone(laptop):
    laptop.host.run("ip", "link", "del", "wlan0")
    wait_for("one path left", lambda: len(laptop.active()) == 1, 30)
    pings(laptop, "10.10.0.2", "wlan0 deleted")


def nothing_left(tunnel):
    links = tunnel.host.run("ip", "-d", "link").stdout
    check("xdp" not in links and tunnel.name not in links, f"{tunnel.host.name}: no program left on a device")
    left = tunnel.host.run("find", "/sys/fs/bpf", "-mindepth", "1").stdout.split()
    # libxdp keeps its folder.
    left = [path for path in left if path != "/sys/fs/bpf/xdp" and not path.endswith(".debug")]
    check(left == [], f"{tunnel.host.name}: bpffs is empty{' but for ' + str(left) if left else ''}")


def main():
    if not DENIES_TCP.exists():
        print("needs xdp-tools")
        return 77
    with Bed("pair", "--direct") as bed:
        laptop, office = bed.attached_pair()
        if on_device(laptop.host, "eth0") == OURS:
            print("this kernel does not let programs share a device")
            return 77
        one_tunnel(laptop, office)
        filter_after(laptop, office)
        behind_ours(laptop, office)
        live_detach(laptop, office)
        killed(laptop, office)
        second_tunnel(bed, laptop, office)
        device_gone(laptop)
        for tunnel in (laptop, office):
            tunnel.stop()
            nothing_left(tunnel)
        loaded = run("bpftool", "prog", "show").stdout
        check(OURS not in loaded, "no program of ours left in the kernel")
    return 0


if __name__ == "__main__":
    sys.exit(main())
