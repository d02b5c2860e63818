"""A tunnel of WireGuard's, ours beside it, then ours in its place."""

from bed import check
from world import internet, known, make_key, wait_paths

PAGE = "docs/howto/from-wireguard.md"
TOPOLOGY = "nat"
FILE = "/etc/centipede/cp0.toml"


def wireguard(page, laptop, office):
    private, public = {}, {}
    for host in (laptop, office):
        private[host] = host.run("wg", "genkey").stdout.strip()
        public[host] = host.run("wg", "pubkey", input=private[host]).stdout.strip()
        host.run("mkdir", "-p", "/etc/wireguard", "/run/wireguard")
        host.run("mount", "-t", "tmpfs", "tmpfs", "/run/wireguard")
    page.replaced["WIREGUARD'S PRIVATE KEY"] = private[laptop]
    page.replaced["WIREGUARD'S PUBLIC KEY"] = public[office]
    page.write(laptop, "/etc/wireguard/wg0.conf", "PersistentKeepalive")
    office.write("/etc/wireguard/wg0.conf", f"""[Interface]
PrivateKey = {private[office]}
Address = 10.7.0.1/24
ListenPort = 51820
[Peer]
PublicKey = {public[laptop]}
AllowedIPs = 10.7.0.2/32
""")
    for host in (laptop, office):
        page.carry_out(host, "wg-quick up wg0")


def run(page, bed):
    laptop, _, office = internet(bed)
    page.dress(laptop, office)
    wireguard(page, laptop, office)
    page.run(laptop, "sudo install -d")
    said = page.run(laptop, "sudo centipede import")
    check("wg0.conf:5: PostUp" in said and "wg0.conf:11: PersistentKeepalive" in said, "import says what did not carry over")
    imported = laptop.run("cat", FILE).stdout
    check("203.0.113.5:51820" in imported and "10.7.0.1/32" in imported, "and what did is in the file")
    key = make_key(page, laptop, "THE LAPTOP'S PUBLIC KEY", "sudo centipede genkey")
    del page.replaced["THE LAPTOP'S PUBLIC KEY"]
    tunnel = bed.tunnel(office, ["10.8.0.1/24", "10.7.0.1/24"])
    tunnel.add_peer(known(laptop, key), allowed_ips=["10.8.0.2/32", "10.7.0.2/32"])
    tunnel.options["routes"] = False  # WireGuard's are there
    tunnel.attach("eth0", "eth1")
    page.replaced["THE OFFICE'S PUBLIC KEY"] = tunnel.public_key
    page.write(laptop, FILE, "address = [\"10.8.0.2/24\"]")
    check("fail" not in page.run(laptop, "sudo centipede doctor"), "doctor finds no failure")
    service = page.service(laptop)
    wait_paths(laptop, 4)
    for address in ("10.8.0.1", "10.7.0.1"):
        check(" 0% packet loss" in page.run(laptop, f"ping -c 3 {address}"), f"{address} answers")
    check("dev wg0" in laptop.run("ip", "route", "get", "10.7.0.1").stdout, "the one through WireGuard")
    check("active" in page.run(laptop, "sudo centipede status"), "status shows the paths")
    page.run(laptop, "sudo wg-quick down wg0")
    page.carry_out(office, "wg-quick down wg0")
    office.run("ip", "route", "replace", "10.7.0.2/32", "dev", "cp0")
    page.run(laptop, "sudo sed")
    service.interrupt()
    page.service(laptop)
    wait_paths(laptop, 4)
    check("dev cp0" in laptop.run("ip", "route", "get", "10.7.0.1").stdout, "the old address is ours now")
    check(" 0% packet loss" in page.run(laptop, "ping -c 3 10.7.0.1"), "and answers")
