"""Two sites: computers behind the routers ping each other while lines are cut at both ends."""

from bed import check, wait_for
from world import make_key, rename, sending, wait_paths

PAGE = "docs/howto/site-to-site.md"
TOPOLOGY = "nat"
LINES = {  # of each site's router, in the internet's devices
    "laptop": (("eth0", "lan0", "192.0.2.10/24", "192.0.2.1"), ("eth1", "lan1", "198.51.100.130/25", "198.51.100.129")),
    "office": (("eth0", "wan0", "203.0.113.5/24", "203.0.113.1"), ("eth1", "wan1", "198.51.100.5/25", "198.51.100.1")),
}


def lines(router, site):
    rename(site, "wlan0", "eth1")
    for metric, (device, end, address, gateway) in enumerate(LINES[site.name], 100):
        for host, name, own in ((site, device, address), (router, end, f"{gateway}/{address.split('/')[1]}")):
            host.run("ip", "address", "flush", "dev", name, "scope", "global")
            host.run("ip", "address", "add", own, "dev", name)
        site.run("ip", "route", "add", "default", "via", gateway, "dev", device, "metric", metric)


def computer_at(site, network):
    """A computer of the site's network, whose default router is the site's."""
    computer = site.start("unshare", "-n", "sleep", "infinity")
    wait_for("it has a network of its own", lambda: site.run("readlink", f"/proc/{computer.pid}/ns/net").stdout !=
             site.run("readlink", f"/proc/{site.pid}/ns/net").stdout)
    site.run("ip", "link", "add", "lan0", "type", "veth", "peer", "name", "eth0", "netns", computer.pid)
    site.run("ip", "address", "add", f"{network}.1/24", "dev", "lan0")
    site.run("ip", "link", "set", "lan0", "up")
    enter = ["nsenter", "-t", computer.pid, "-n", "--"]
    for words in (("address", "add", f"{network}.7/24", "dev", "eth0"), ("link", "set", "eth0", "up"),
                  ("route", "add", "default", "via", f"{network}.1")):
        site.run(*enter, "ip", *words)
    return enter


def run(page, bed):
    north, router, south = (bed.host(name) for name in ("laptop", "router", "office"))
    router.run("nft", "flush", "ruleset")  # nobody hides addresses here
    page.dress(north, south)
    for site, name in ((north, "NORTH"), (south, "SOUTH")):
        lines(router, site)
        make_key(page, site, f"THE {name}'S PUBLIC KEY")
    at_north = computer_at(north, "192.168.10")
    computer_at(south, "192.168.20")
    page.write(north, "/etc/centipede/cp0.toml", 'name = "south"')
    page.write(south, "/etc/centipede/cp0.toml", 'name = "north"')
    for site in (north, south):
        for command in ("echo", "sudo sysctl"):
            page.run(site, command)
        check("fail" not in page.run(site, "sudo centipede doctor"), "doctor finds no failure")
        page.service(site)
    for site in (north, south):
        wait_paths(site, 4)
    check(" 0% packet loss" in page.run(north, "ping -c 3"), "ping is answered")
    check("eth1" in page.run(north, "sudo centipede path list"), "rows of both lines")
    pings = north.start(*at_north, "ping", "-q", "-n", "-i", "0.02", "-c", "100", "192.168.20.7", stdout=-1)
    for line in ("lan0", "wan1"):
        bed.link(line, "cut")
    wait_for("the paths of these lines go down", lambda: "down" in north.centipede("path", "list").stdout)
    printed, _ = pings.communicate(timeout=20)
    check(" 0% packet loss" in printed, "a line of each site was cut, and no ping from computer to computer lost")
    for line in ("lan0", "wan1"):
        bed.link(line, "restore")
    for command in ("sudo centipede peer set", "sudo centipede uplink set eth1", "sudo centipede uplink set eth0"):
        page.run(north, command)
    wait_for("all goes over the line that is preferred", lambda: sending(north) == ["eth1"])
