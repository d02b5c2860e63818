"""A gateway: a client reaches the internet through it, another one joins while it works."""

from bed import check
from world import FAR, internet, make_key, wait_paths

PAGE = "docs/howto/gateway.md"
TOPOLOGY = "nat"
FILE = "/etc/centipede/cp0.toml"


def run(page, bed):
    laptop, router, office = internet(bed)
    page.dress(laptop, router, office)
    for host, name in ((laptop, "ANNA'S"), (router, "BEN'S"), (office, "THE SERVER'S")):
        make_key(page, host, f"{name} PUBLIC KEY")
    page.replaced["GUEST_KEY"] = laptop.centipede("pubkey", input=laptop.centipede("genkey").stdout).stdout.strip()
    page.write(office, FILE, 'name = "anna"')
    office.run("mkdir", "/etc/nftables.d")
    page.write(office, "/etc/nftables.d/centipede.nft", "table inet vpn", 0o644)
    for command in ("echo", "sudo sysctl", "sudo nft -f"):
        page.run(office, command)
    page.run(office, "sudo nft -f")
    check("fail" not in page.run(office, "sudo centipede doctor"), "doctor finds no failure")
    page.service(office)
    client = page.file('name = "gateway"')
    laptop.write(FILE, client)
    page.service(laptop)
    wait_paths(laptop, 2)
    check(" 0% packet loss" in page.run(laptop, f"ping -c 3 {FAR}"), "the internet answers the client")
    check("dev cp0" in laptop.run("ip", "route", "get", FAR).stdout, "through the tunnel")
    check("anna" in page.run(office, "sudo centipede peer list"), "the client is listed")
    check("active" in page.run(office, "sudo centipede status"), "with its paths")
    pings = laptop.pinging(FAR, 0.01, 20)
    one_more(page, router, office, client)
    page.run(office, "sudo centipede peer add")
    check("guest" in page.run(office, "sudo curl"), "the metrics have the guest")
    page.run(office, "sudo centipede peer remove")
    pings.nothing_lost("clients came and went")


def one_more(page, host, office, client):
    host.write(FILE, client.replace("10.10.0.2/24", "10.10.0.3/24").replace('"en*", ', '"wan0", ')
               .replace('"0.0.0.0/0", "::/0"', '"10.10.0.0/24"'))
    page.service(host)
    office.write(FILE, page.file('name = "anna"') + page.file('name = "ben"'))
    check("ben" in page.run(office, "sudo centipede reload"), "the new client is in")
    wait_paths(host, 1)
    check(host.ping("10.10.0.1") == 0, "and gets answers")
