"""Troubleshooting: findings of doctor are brought about, and the page's commands make them go away; then the commands of
its symptoms, on a tunnel that lost a path."""

from bed import PROGRAMS, PYTHON, check, wait_for
from world import internet, known, sending, wait_paths

PAGE = "docs/troubleshooting.md"
TOPOLOGY = "nat"
FILE = "/etc/centipede/cp0.toml"
CONFIG = """[interface]
private_key_file = "cp0.key"
address = ["10.10.0.1/24"]
uplinks = ["eth0", "wlan0"]
{interface}
[[peer]]
name = "office"
public_key = "{key}"
allowed_ips = ["10.10.0.2/32"]
endpoints = ["203.0.113.5:5820", "vpn.example.org:5820"]
"""
# What brings a finding about, its text, and the page's command against it; an empty one where there is none.
FINDINGS = (
    ("umount --lazy /sys/fs/bpf", "not mounted on /sys/fs/bpf", "sudo mount -t bpf"),
    ("ip link set eth0 mtu 1300", "packets of 1280 bytes do not fit whole", "sudo ip link set eth0 mtu"),
    ("ethtool -K eth0 gro off", "eth0 offloads: GRO is off", "sudo ethtool -K eth0 gro"),
    ("sysctl -w net.ipv4.conf.wlan0.rp_filter=1", "strict: what arrives here", "sudo sysctl -w net.ipv4.conf.wlan0"),
    ("nft add table inet filter; nft 'add chain inet filter input { type filter hook input priority 0; policy drop; }'",
     "drops UDP 5820", "sudo nft insert"),
    ("ip link set wlan0 down", "the device is down", "sudo ip link set wlan0 up"),
    ("ip address flush dev wlan0", "none that can be used", "sudo ip address add"),
    ("ip route flush dev wlan0 default", "wlan0 default route: none", "sudo ip route add"),
    ("chmod 644 /etc/centipede/cp0.key", "warn  configuration", "sudo chmod 600"),
    ("true", "vpn.example.org", ""),
    ("mount --bind /dev/null /dev/net/tun", "is no TUN device", ""),
    ("umount /dev/net/tun", "var/lib/centipede is in memory", ""),
)


def doctor(page, laptop):
    return page.carry_out(laptop, "sudo centipede doctor || true")


def run(page, bed):
    laptop, _, office = internet(bed)
    page.dress(laptop)
    findings(page, bed, laptop, office)
    symptoms(page, laptop, office)


def findings(page, bed, laptop, office):
    laptop.run("sh", "-c", "echo 'hosts: files' >/etc/nsswitch.conf && rm -f /etc/hosts")  # no name server to wait for
    key = laptop.centipede("genkey", "-o", "/etc/centipede/cp0.key").stdout.strip()
    tunnel = bed.tunnel(office, ["10.10.0.2/24"])
    tunnel.add_peer(known(laptop, key, "10.10.0.1/24"))
    tunnel.attach("eth0", "eth1")
    page.run(laptop, "sudo centipede doctor", code=1)  # without a file
    laptop.write(FILE, CONFIG.format(key=tunnel.public_key, interface=""))
    mended = None
    for cause, text, remedy in FINDINGS:
        laptop.run("sh", "-c", cause)
        said = doctor(page, laptop)
        check(text in said, f"{cause}: doctor says {text!r}")
        check(mended is None or mended not in said, f"{mended!r} has gone")
        mended = text if remedy else None
        if remedy:
            page.run(laptop, remedy)
    taken = laptop.start("socat", "UDP-RECVFROM:5820", "STDOUT")
    wait_for("the port is taken", lambda: "listen port: UDP 5820 over IPv4" in doctor(page, laptop))
    check("socat" in page.run(laptop, "sudo ss -lunp"), "ss says by whom")
    taken.kill()
    laptop.write(FILE, CONFIG.format(key=tunnel.public_key, interface='mode = "xdp"'))
    laptop.run(PYTHON, PROGRAMS / "foreign_xdp.py", "eth0")
    check("it keeps ours out" in doctor(page, laptop), "another XDP program is found")
    page.run(laptop, "sudo ip link set eth0 xdp off")
    check("it keeps ours out" not in doctor(page, laptop), "which is mended")
    laptop.write(FILE, CONFIG.format(key=tunnel.public_key, interface='dns = ["10.10.0.2"]\nkill_switch = true'))
    check("neither systemd-resolved runs nor" in doctor(page, laptop), "nobody takes name servers")
    laptop.write("/etc/hosts", "203.0.113.5 vpn.example.org\n", 0o644)
    check("203.0.113.5" in page.run(laptop, "getent"), "the name is known now")
    for command in ("sudo centipede doctor eth0 wlan0", "ip -br link", "findmnt", "sudo nft list ruleset",
                    "sudo ethtool -K eth0 rx-lro", "sudo ethtool -K eth0 rx-udp"):
        page.run(laptop, command)
    laptop.write(FILE, CONFIG.format(key=tunnel.public_key, interface=""))


def symptoms(page, laptop, office):
    laptop.run("nft", "flush", "ruleset")
    page.service(laptop)
    wait_paths(laptop, 2)
    look_for_packets(page, laptop, office)
    check("eth0" in page.run(laptop, "sudo centipede ping"), "round trips")
    check("active" in page.run(laptop, "sudo centipede events --no-follow"), "events of paths")
    check("wlan0" in page.run(laptop, "sudo centipede path list"), "paths")
    check(" 0% packet loss" in page.run(laptop, "ping -c 3 -I wlan0"), "the link itself works")
    laptop.centipede("path", "down", "office", "wlan0")
    wait_for("wlan0 carries no data", lambda: sending(laptop) == ["eth0"])
    page.run(laptop, "sudo centipede path up")
    page.run(laptop, "sudo centipede peer set")
    wait_for("both are used", lambda: sending(laptop) == ["eth0", "wlan0"])
    check("wlan0" in page.run(laptop, "sudo centipede uplink list"), "uplinks")
    for size in ("ping -c 1 -M do -s 1472", "ping -c 1 -M do -s 1392"):
        check(" 0% packet loss" in page.run(laptop, size), "large packets pass")
    watch = page.start(laptop, "sudo centipede status --watch", until="loss%")
    watch.interrupt()


def look_for_packets(page, laptop, office):
    """On the called host; heartbeats are under way."""
    page.dress(office)
    check("5820" in page.run(office, "sudo timeout 5 tcpdump"), "packets of the caller arrive")
    check("last handshake" in page.run(laptop, "sudo centipede status"), "status tells of handshakes")
