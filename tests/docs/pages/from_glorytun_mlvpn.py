"""What a client of glorytun or MLVPN becomes: two links, one of them in reserve; then copies over both."""

from bed import check, wait_for
from world import internet, make_key, sending, wait_paths

PAGE = "docs/howto/from-glorytun-mlvpn.md"
TOPOLOGY = "nat"


def run(page, bed):
    laptop, _, office = internet(bed)
    page.dress(laptop, office)
    for host, name in ((laptop, "CLIENT"), (office, "SERVER")):
        make_key(page, host, f"THE {name}'S PUBLIC KEY")
    page.write(laptop, "/etc/centipede/cp0.toml", 'name = "server"')
    page.write(office, "/etc/centipede/cp0.toml", 'name = "client"')
    for host in (office, laptop):
        check("fail" not in page.run(host, "sudo centipede doctor"), "doctor finds no failure")
        page.service(host)
    wait_paths(laptop, 2)
    check(" 0% packet loss" in page.run(laptop, "ping -c 3"), "ping is answered")
    check("wlan0" in page.run(laptop, "sudo centipede path list"), "both links are listed")
    wait_for("one link waits", lambda: sending(laptop) == ["eth0"])
    page.run(laptop, "sudo centipede peer set")
    wait_for("copies over both", lambda: sending(laptop) == ["eth0", "wlan0"])
    watch = page.start(laptop, "sudo centipede status --watch", until="won%")
    watch.interrupt()
