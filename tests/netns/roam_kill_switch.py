#!/usr/bin/python3
"""With a kill switch, nothing that belongs into the tunnel leaves in clear when the daemon is killed under traffic, IPv6
included, sent or forwarded. The next start takes it over, an orderly end or `centipede detach` takes it away; a start
that a mistake in the file prevents leaves it, and says so.
"""

import sys

from bed import Bed, check, wait_for

FAR = {"203.0.113.7": "10.1.0.2", "2001:db8:7::7": "fd01::2"}


def in_clear(host):
    return host.capture("eth0", " or ".join(f"host {address}" for address in FAR))


def forwarded_from(host):
    """A namespace whose default route is the host, as a container's."""
    host.run("ip", "link", "add", "guest", "type", "veth", "peer", "name", "inside")
    host.run("ip", "address", "add", "10.77.0.1/24", "dev", "guest")
    host.run("ip", "link", "set", "guest", "up")
    host.run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
    guest = host.start("unshare", "-n", "sleep", "infinity")
    wait_for("the guest has a network of its own",
             lambda: host.run("readlink", f"/proc/{guest.pid}/ns/net").stdout !=
             host.run("readlink", f"/proc/{host.pid}/ns/net").stdout)
    host.run("ip", "link", "set", "inside", "netns", guest.pid)
    enter = ["nsenter", "-t", guest.pid, "-n", "--"]
    for words in (("address", "add", "10.77.0.2/24", "dev", "inside"), ("link", "set", "inside", "up"),
                  ("route", "add", "default", "via", "10.77.0.1")):
        host.run(*enter, "ip", *words)
    return lambda: host.run(*enter, "ping", "-q", "-n", "-c", 20, "-i", "0.01", "-W", "0.1", "203.0.113.7", check=False)


def counted(host):
    """Packets that the kill switch has dropped."""
    rules = host.run("nft", "list", "table", "inet", "centipede-cp0").stdout.splitlines()
    return sum(int(line.split("packets ")[1].split()[0]) for line in rules if "counter" in line)


def main():
    with Bed("pair1") as bed:
        laptop, office = bed.pair(endpoints=["10.1.0.2:5820"])
        laptop.options["kill_switch"] = True
        laptop.peers[0]["allowed_ips"] = ["0.0.0.0/0", "::/0"]
        office.peers[0]["allowed_ips"] += ["10.77.0.0/24"]
        for address, gateway in FAR.items():
            office.host.run("ip", "address", "add", address, "dev", "lo")
            laptop.host.run("ip", "route", "add", "default", "via", gateway, "dev", "eth0")
        ping_forwarded = forwarded_from(laptop.host)
        office.attach("eth0")
        laptop.attach("eth0")
        for tunnel in (laptop, office):
            tunnel.wait_active(1)
        wait_for("both families go through the tunnel",
                 lambda: all(laptop.host.ping(address) == 0 for address in FAR))
        seen = in_clear(laptop.host)
        pings = [laptop.host.pinging(address, 0.002, 500) for address in FAR]
        laptop.kill()
        check(all(laptop.host.ping(address, 20, wait=0.1) == 20 for address in FAR), "killed: no ping gets anywhere")
        ping_forwarded()
        check(laptop.host.ping("10.1.0.2", 5, wait=0.1) == 5, "the local network is inside 0.0.0.0/0, too")
        check(counted(laptop.host) > 100, f"{counted(laptop.host)} packets dropped by it")
        laptop.attach("eth0")
        laptop.wait_active(1)
        wait_for("pings again", lambda: laptop.host.ping("203.0.113.7", 1, wait=0.2) == 0)
        for one in pings:
            one.process.kill()
        clear = seen.end()
        check(clear == [], f"not one packet on the uplink in clear: {clear[:3]}")
        laptop.kill()
        laptop.host.write("/etc/centipede/cp0.toml", "[interface]\nport = 1\n")
        answer = laptop.ask("attach")
        check(answer.returncode == 2 and "the kill switch stays; `centipede detach -i cp0` removes it" in answer.stderr,
              f"a start that its file prevents says what stays: {answer.stderr.strip()}")
        check(laptop.host.ping("203.0.113.7", 2, wait=0.1) == 2, "and it does")
        answer = laptop.ask("detach")
        check(answer.returncode == 0 and "kill switch" in answer.stdout, f"detach: {answer.stdout.strip()}")
        seen = in_clear(laptop.host)
        wait_for("without it pings go round the tunnel", lambda: laptop.host.ping("203.0.113.7") == 0)
        check(len(seen.end()) > 0, "which the uplink shows")
        laptop.attach("eth0")
        laptop.wait_active(1)
        laptop.stop()
        check("centipede" not in laptop.host.run("nft", "list", "tables").stdout, "an orderly end takes it away")
        laptop.nothing_left()


if __name__ == "__main__":
    sys.exit(main())
