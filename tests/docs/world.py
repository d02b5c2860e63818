"""The hosts of the pages' examples, made of the bed `nat`: an internet between them, with the addresses for documents.

    laptop eth0  192.168.1.2 ─── router, which is the internet   ─── 203.0.113.5   eth0 office
           wlan0 192.168.2.2 ─── and hides the laptop's addresses ─── 198.51.100.5  eth1
"""


def rename(host, old, new):
    host.run("sh", "-ec", f"ip link set {old} down; ip link set {old} name {new}; ip link set {new} up")


def internet(bed):
    laptop, router, office = (bed.host(name) for name in ("laptop", "router", "office"))
    rename(office, "wlan0", "eth1")
    for device, wan, network, metric in (("eth0", "wan0", "203.0.113", 100), ("eth1", "wan1", "198.51.100", 200)):
        router.run("ip", "address", "add", f"{network}.1/24", "dev", wan)
        office.run("ip", "address", "flush", "dev", device, "scope", "global")
        office.run("ip", "address", "add", f"{network}.5/24", "dev", device)
        office.run("ip", "route", "add", "default", "via", f"{network}.1", "dev", device, "metric", metric)
    return laptop, router, office


def one_more_link(laptop, router, device="wwan0", network="192.168.3"):
    """A third way to the internet, as a modem that is plugged in."""
    router.run("ip", "link", "add", "lan2", "type", "veth", "peer", "name", device, "netns", laptop.pid)
    router.run("ip", "address", "add", f"{network}.1/24", "dev", "lan2")
    router.run("ip", "link", "set", "lan2", "up")
    laptop.run("ip", "address", "add", f"{network}.2/24", "dev", device)
    laptop.run("ip", "link", "set", device, "up")
    laptop.run("ip", "route", "add", "default", "via", f"{network}.1", "dev", device, "metric", 300)
