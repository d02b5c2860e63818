"""centipede(8): its examples, on the laptop, over the devices that they name."""

from bed import check, wait_for
from world import rename

PAGE = "docs/man/centipede.8"
TOPOLOGY = "pair3"


def run(page, bed):
    tunnel, office = bed.pair(endpoints=["10.1.0.2:5820", "10.2.0.2:5820", "10.3.0.2:5820"])
    laptop = tunnel.host
    page.dress(laptop)
    rename(laptop, "wwan0", "usb0")
    laptop.run("ip", "address", "replace", "10.3.0.1/24", "dev", "usb0")
    office.attach("eth0", "wlan0", "wwan0")
    for command in ("install -d", "centipede genkey"):
        page.run(laptop, command)
    tunnel.configure()
    check("fail" not in page.run(laptop, "centipede doctor"), "doctor finds no failure")
    attach = page.attach(laptop, "centipede attach eth0 wlan0")
    page.run(laptop, "centipede attach usb0")
    tunnel.wait_active(3)
    page.run(laptop, ". <(centipede completion bash)")
    watch = page.start(laptop, "centipede status --watch", until="won%")
    watch.interrupt()
    page.run(laptop, "centipede path down office usb0")
    wait_for("usb0 carries no data", lambda: sorted(path["uplink_name"] for path in tunnel.paths()
                                                    if path["sending"]) == ["eth0", "wlan0"])
    page.run(laptop, "centipede reload")
    page.run(laptop, "centipede detach")
    attach.ends()
