"""README: from the installation to the last detach, on the two hosts of its example."""

from bed import check, wait_for
from world import active_paths, internet, one_more_link, wait_paths

PAGE = "README.md"
TOPOLOGY = "nat"


def run(page, bed):
    laptop, router, office = internet(bed)
    one_more_link(laptop, router)
    page.dress(laptop, office, install=False)
    for host in (laptop, office):
        page.run(host, "sudo cmake --install build/release")
        page.run(host, "sudo install -d -m 0700 /etc/centipede")
        made = page.run(host, "sudo centipede genkey -o").strip()
        check(page.run(host, "sudo centipede pubkey").strip() == made, f"{host.name}: the public key is {made}")
        page.replaced[f"THE {host.name.upper()}'S PUBLIC KEY"] = made
    laptop.run("test", "-f", "/usr/local/share/doc/centipede/docs/howto/gateway.md")
    page.write(laptop, "/etc/centipede/cp0.toml", 'name = "office"')
    page.write(office, "/etc/centipede/cp0.toml", 'name = "laptop"')
    for host in (laptop, office):
        check("fail" not in page.run(host, "sudo centipede doctor"), f"{host.name}: doctor finds no failure")
    running = {host: page.attach(host) for host in (office, laptop)}
    wait_paths(laptop, 4)
    check(" 0% packet loss" in page.run(laptop, "ping -c 3"), "ping is answered")
    watch = page.start(laptop, "sudo centipede status --watch", until="office")
    watch.says("won%")
    watch.interrupt()
    page.start(laptop, "sudo centipede dashboard", until="http://127.0.0.1:8420/").interrupt()
    changes(page, laptop)
    page.run(laptop, "sudo centipede detach")
    running[laptop].ends()
    running[office].interrupt()
    check("cp0" not in office.run("ip", "link").stdout, "Ctrl-C leaves no interface behind")


def changes(page, laptop):
    page.run(laptop, "sudo centipede attach wwan0")
    wait_for("wwan0 has paths", lambda: any("wwan0" in line for line in active_paths(laptop)))
    page.run(laptop, "sudo centipede detach wlan0")
    check(not any("wlan0" in line for line in active_paths(laptop)), "wlan0 has none")
    page.run(laptop, "sudo centipede path down office wwan0")
    page.replaced["KEY"] = laptop.centipede("pubkey", input=laptop.centipede("genkey").stdout).stdout.strip()
    page.run(laptop, "sudo centipede peer add KEY")
    check("10.10.0.9" in laptop.run("ip", "route").stdout, "the guest's network is routed")
    check("eth0" in page.run(laptop, "sudo centipede ping office"), "round trips over eth0")
    check('name = "guest"' in page.run(laptop, "sudo centipede export"), "export shows the guest")
    check("guest" in page.run(laptop, "sudo centipede reload"), "reload takes the guest away again")
    check("wlan0" in laptop.centipede("uplink", "list").stdout, "and brings wlan0 back")
