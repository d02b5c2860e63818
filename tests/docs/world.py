"""The hosts of the pages' examples, made of the bed `nat`: an internet between them, with the addresses for documents.

    laptop eth0  192.168.1.2 ─── router, which is the internet   ─── 203.0.113.5   eth0 office
           wlan0 192.168.2.2 ─── and hides the laptop's addresses ─── 198.51.100.5  eth1
"""

from types import SimpleNamespace

from bed import wait_for

FAR = "192.0.2.80"  # a server of the internet, which knows nothing of tunnels


def known(host, public_key, *addresses):
    """A tunnel that a page sets up, as the peer of one that the test does."""
    return SimpleNamespace(host=host, public_key=public_key, addresses=addresses)


def active_paths(host, peer=None):
    rows = host.centipede("path", "list", *filter(None, [peer]), check=False).stdout.splitlines()
    return [row for row in rows if " active" in row]


def sending(host):
    """The uplinks over which data goes, one for each path."""
    return sorted(row.split()[1] for row in active_paths(host) if " sent " in row)


def wait_paths(host, count, peer=None):
    try:
        wait_for(f"{host.name}: {count} paths", lambda: len(active_paths(host, peer)) == count)
    except AssertionError as error:
        raise AssertionError(f"{error}; there are: {host.centipede('status', check=False).stdout}") from error


def make_key(page, host, placeholder, *commands):
    """Step 1 of each page; the second command prints the public key."""
    for command in commands or ("sudo install -d", "sudo centipede genkey"):
        printed = page.run(host, command).strip()
    page.replaced[placeholder] = printed
    return printed


def rename(host, old, new):
    host.run("sh", "-ec", f"ip link set {old} down; ip link set {old} name {new}; ip link set {new} up")


def internet(bed):
    laptop, router, office = (bed.host(name) for name in ("laptop", "router", "office"))
    rename(office, "wlan0", "eth1")
    for device, wan, network, metric in (("eth0", "wan0", "203.0.113", 100), ("eth1", "wan1", "198.51.100", 200)):
        router.run("ip", "address", "flush", "dev", wan, "scope", "global")
        router.run("ip", "address", "add", f"{network}.1/24", "dev", wan)
        office.run("ip", "address", "flush", "dev", device, "scope", "global")
        office.run("ip", "address", "add", f"{network}.5/24", "dev", device)
        office.run("ip", "route", "add", "default", "via", f"{network}.1", "dev", device, "metric", metric)
    router.run("ip", "address", "add", FAR, "dev", "lo")
    return laptop, router, office


def forward(host, device="eth0"):
    """What the gateway's page makes of a host."""
    host.run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
    host.run("nft", "-f", "-", input=f"""table ip outside {{ chain postrouting {{
        type nat hook postrouting priority srcnat;
        oifname "{device}" masquerade
        }}
        }}""")


def one_more_link(laptop, router, device="wwan0", network="192.168.3"):
    """A third way to the internet, as a modem that is plugged in."""
    router.run("ip", "link", "add", "lan2", "type", "veth", "peer", "name", device, "netns", laptop.pid)
    router.run("ip", "address", "add", f"{network}.1/24", "dev", "lan2")
    router.run("ip", "link", "set", "lan2", "up")
    laptop.run("ip", "address", "add", f"{network}.2/24", "dev", device)
    laptop.run("ip", "link", "set", device, "up")
    laptop.run("ip", "route", "add", "default", "via", f"{network}.1", "dev", device, "metric", 300)
