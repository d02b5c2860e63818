"""A laptop whose Wi-Fi goes and whose phone stays; then everything through the tunnel, and the daemon killed."""

from bed import check, wait_for
from world import FAR, forward, internet, known, make_key, rename, sending, wait_paths

PAGE = "docs/howto/phone-tethered-laptop.md"
TOPOLOGY = "nat"
# In place of a system's own: keeps what it is given.
RESOLVCONF = """#!/bin/sh
case $1 in -a) cat >/etc/resolv.conf ;; -d) : >/etc/resolv.conf ;; esac
"""


def gain(laptop, device, gateway):
    laptop.run("ip", "route", "replace", "default", "via", gateway, "dev", device, "metric",
               {"usb0": 100, "wlan0": 200}[device])


def run(page, bed):
    laptop, _, office = internet(bed)
    page.dress(laptop)
    rename(laptop, "eth0", "usb0")
    gain(laptop, "usb0", "192.168.1.1")
    laptop.write("/etc/hosts", "203.0.113.5 vpn.example.org\n", 0o644)
    laptop.write("/usr/local/sbin/resolvconf", RESOLVCONF, 0o755)
    key = make_key(page, laptop, "THE LAPTOP'S PUBLIC KEY")
    del page.replaced["THE LAPTOP'S PUBLIC KEY"]
    gateway = bed.tunnel(office, ["10.10.0.1/24"])
    gateway.add_peer(known(laptop, key, "10.10.0.2/24"))
    gateway.attach("eth0")
    forward(office)
    page.replaced["THE OFFICE'S PUBLIC KEY"] = gateway.public_key
    page.write(laptop, "/etc/centipede/cp0.toml", 'allowed_ips = ["10.10.0.0/24"]')
    check("fail" not in page.run(laptop, "sudo centipede doctor"), "doctor finds no failure")
    service = page.service(laptop)
    wait_paths(laptop, 2)
    two_links(page, laptop)
    service.interrupt()
    everything(page, laptop)


def two_links(page, laptop):
    check(" 0% packet loss" in page.run(laptop, "ping -c 3"), "ping is answered")
    check("wlan0" in page.run(laptop, "sudo centipede path list"), "a row for each link")
    wait_for("data goes over the Wi-Fi alone", lambda: sending(laptop) == ["wlan0"])
    laptop.run("ip", "link", "set", "wlan0", "down")
    wait_for("the phone takes over", lambda: sending(laptop) == ["usb0"])
    check(laptop.ping("10.10.0.1") == 0, "ping goes on")
    laptop.run("ip", "link", "set", "wlan0", "up")
    gain(laptop, "wlan0", "192.168.2.1")
    wait_for("the Wi-Fi is used again", lambda: sending(laptop) == ["wlan0"])
    check("wlan0" in page.run(laptop, "sudo centipede events --no-follow"), "events tell of it")
    page.run(laptop, "sudo centipede peer set office --policy redundant")
    wait_for("every packet over both links", lambda: sending(laptop) == ["usb0", "wlan0"])
    page.run(laptop, "sudo centipede path down office usb0")
    wait_for("nothing over the phone", lambda: sending(laptop) == ["wlan0"])
    page.run(laptop, "sudo centipede path up office usb0")
    wait_for("and again over both", lambda: sending(laptop) == ["usb0", "wlan0"])
    page.run(laptop, "sudo centipede reload")
    wait_for("as the file has it", lambda: len(sending(laptop)) == 1)


def everything(page, laptop):
    page.write(laptop, "/etc/centipede/cp0.toml", "kill_switch = true")
    service = page.service(laptop)
    wait_paths(laptop, 2)
    check("dev cp0" in page.run(laptop, "ip route get"), "traffic leaves by the tunnel")
    check(laptop.ping(FAR) == 0, "the internet answers through the tunnel")
    check("10.10.0.1" in laptop.run("cat", "/etc/resolv.conf").stdout, "the tunnel's name server is asked")
    check("drop" in page.run(laptop, "sudo nft list table"), "the kill switch is there")
    service.kill()
    wait_for("the killed one has gone", lambda: "cp0:" not in laptop.run("ip", "link").stdout)
    check(laptop.ping(FAR, 3, wait=0.1) == 3, "killed: nothing goes beside the tunnel")
    page.run(laptop, "sudo centipede detach")
    check(laptop.ping(FAR) == 0, "detach takes the kill switch away")
