#!/usr/bin/python3
"""As a new user on a clean Debian 12: the commands of README's "Debian package", from installing the package to the
first ping between two hosts, and purging it, which leaves nothing, whatever state its service is in.

On two machines that systemd runs (roots.py). The first run takes minutes, the next ones less than one.

Once before: tools/install-dependencies build demo package
"""

import re
import sys
import time

from roots import build_package, machines
from bed import SOURCE, Bed, check, check_quietly, wait_for  # found by roots


def blocks(section, kind):
    """README's examples of one kind."""
    text = (SOURCE / "README.md").read_text().split(f"\n## {section}\n")[1].split("\n## ")[0]
    return re.findall(rf"```{kind}\n(.*?)```", text, re.S)


def commands(block):
    return [re.sub(r"\s+#.*", "", line).removeprefix("sudo ") for line in block.splitlines()]


def as_in_the_bed(text, keys):
    """README's addresses, devices and keys are those of nobody."""
    for old, new in (("203.0.113.5", "10.1.0.2"), ("198.51.100.5", "10.2.0.2"), ('"eth1"', '"wlan0"'),
                     ("THE OFFICE'S PUBLIC KEY", keys["office"]), ("THE LAPTOP'S PUBLIC KEY", keys["laptop"])):
        text = text.replace(old, new)
    return text.encode()


def carry_out(command, machine, package, keys, files):
    """One of README's commands, on one host; what an editor would do, the test does."""
    program, *words = command.split()
    if program == "apt":
        check_quietly(words == ["install", f"./{package.name}"], f"the package of this build: {command}")
        machine.install(package)
    elif program == "editor":
        machine.write(words[0], files[machine.name])
    else:
        output = machine.shell(command)
        if words[0] == "genkey":
            keys[machine.name] = output.strip()


def verify_unit(machine):
    machine.run("systemd-analyze", "verify", "--man=no", "centipede@cp0.service")
    answer = machine.shell("systemd-analyze security --no-pager centipede@cp0.service")
    score = float(re.search(r"exposure level.*: ([\d.]+)", answer)[1])
    check(score <= 3, f"systemd-analyze security: {score}")


def leave_things(machine):
    """A kill switch whose service has failed, name servers of a tunnel that was killed before the last boot, a member of
    the group."""
    text = machine.shell("cat /etc/centipede/cp0.toml").replace("[interface]", "[interface]\nkill_switch = true")
    machine.write("/etc/centipede/cp0.toml", text.encode(), mode=0o600)
    machine.run("systemctl", "restart", "centipede@cp0")
    machine.write("/etc/centipede/cp0.toml", text.replace("address", "adress").encode(), mode=0o600)
    machine.run("systemctl", "restart", "centipede@cp0", check=False)
    wait_for("the service fails", lambda: machine.shell("systemctl is-active centipede@cp0 || true") == "failed\n")
    check("centipede-cp0" in tables(machine), f"{machine.name}: the service has failed, and its kill switch stays")
    said = machine.shell("journalctl -u centipede@cp0 -o cat --no-pager")
    check("the kill switch stays; `centipede detach -i cp0`" in said, "the journal says so, and what takes it away")
    machine.write("/usr/sbin/resolvconf", b'#!/bin/sh\necho "$*" >>/root/resolvconf\n', mode=0o755)
    machine.write("/var/lib/centipede/cp9.dns", b"cp9\n")
    machine.run("useradd", "--no-create-home", "--gid", "centipede", "reader")


def tables(machine):
    return machine.host.run("nft", "list", "tables").stdout


def purge_what_was_left(machine, before):
    leave_things(machine)
    said = machine.run("apt-get", "purge", "--yes", "--auto-remove", "centipede", timeout=120).stdout
    check("centipede-" not in tables(machine), f"{machine.name}: purged, and no kill switch is left")
    check(machine.shell("cat /root/resolvconf || true") == "-d cp9\n", f"nor are name servers: {said}")
    check("does not run" not in said, "without a word about tunnels that do not run")
    machine.shell("userdel reader; rm /usr/sbin/resolvconf; getent group centipede && groupdel centipede || true")
    check_nothing_left(machine, before)


def purge(machine, before):
    machine.run("apt-get", "purge", "--yes", "--auto-remove", "centipede", timeout=120)
    check_nothing_left(machine, before)


def check_nothing_left(machine, before):
    check("cp0" not in machine.shell("ip link; ps ax"), f"{machine.name}: that stopped the tunnel first")
    left = machine.files() - before
    check(not left, f"{machine.name}: purged, and nothing left: {sorted(left)}")
    left = [line for line in machine.shell("cat /etc/group; systemctl list-units --all --plain; find /sys/fs/bpf").splitlines()
            if "centipede" in line and not line.startswith("system-centipede.slice")]  # which systemd keeps
    check(not left, f"{machine.name}: no group, no unit, no pin: {left}")


def scenario(package, both_machines):
    before = {}
    for machine in both_machines:
        machine.run("apt-get", "update", network="machine", timeout=300)
        before[machine] = machine.files()
    both, laptops = map(commands, blocks("Debian package", "sh"))
    check(len(both) * 2 + len(laptops) <= 10, f"from the package to the first ping in {len(both) * 2 + len(laptops)}")
    keys, files = {}, {}
    examples = dict(zip(("laptop", "office"), blocks("Between two hosts", "toml")))
    start = time.monotonic()
    for command in both:
        if command.startswith("editor"):
            files = {name: as_in_the_bed(text, keys) for name, text in examples.items()}
        for machine in both_machines:
            carry_out(command, machine, package, keys, files)
    (ping,) = laptops
    wait_for("a ping", lambda: both_machines[0].run(*ping.split(), check=False).returncode == 0)
    check(True, f"{ping}: answered {time.monotonic() - start:.0f} s after the first command")
    verify_unit(both_machines[0])
    for machine in both_machines:
        status = machine.shell("centipede status")
        check_quietly("active" in status, f"{machine.name}: {status}")
    laptop, office = both_machines
    purge(laptop, before[laptop])
    purge_what_was_left(office, before[office])


def main():
    package = build_package()
    with Bed("pair") as bed, machines(bed, "laptop", "office") as both:
        scenario(package, both)


if __name__ == "__main__":
    sys.exit(main())
