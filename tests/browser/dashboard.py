#!/usr/bin/python3
"""The dashboard in a headless Chromium beside a real tunnel: both links with live figures, a cut link seen within three
seconds, a peer's name that looks like HTML is harmless, nothing is asked of anywhere else, no complaint in the console.
Screenshots are left in build/screenshots/: light and dark, wide and as on a phone."""

import json
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "netns"))

from bed import BUILD, CENTIPEDE, Bed, check, wait_for  # noqa: E402
from chromium import Chromium  # noqa: E402

NAME = "<script>document.title='stolen'</script><img src=x>"
SCREENSHOTS = BUILD.parent / "screenshots"
WAYS = {"10.1.0.1 → 10.1.0.2:5820": "eth0", "10.2.0.1 → 10.2.0.2:5820": "wlan0"}  # the others lead nowhere
PATHS = """[...document.querySelectorAll(".card")].map((card) => ({
    uplink: card.querySelector("h4").textContent,
    way: card.querySelector(".address").textContent,
    state: card.querySelector(".state").dataset.state,
    text: card.innerText,
    points: (card.querySelector("svg .first").getAttribute("d").match(/L/g) ?? []).length,
}))"""


def paths(browser):
    """Those between addresses of the same link."""
    return {path["uplink"]: path for path in browser.evaluate(PATHS) if WAYS.get(path["way"]) == path["uplink"]}


def states(browser):
    return {name: path["state"] for name, path in paths(browser).items()}


def pictures(browser):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for name, width, scheme in (("light", 1280, "light"), ("dark", 1280, "dark"), ("phone-light", 390, "light"),
                                ("phone-dark", 390, "dark")):
        browser.show_as(width, 900, scheme)
        wide = browser.evaluate("document.documentElement.scrollWidth")
        check(wide <= width, f"{name}: nothing sticks out of {width} pixels")
        browser.screenshot(SCREENSHOTS / f"dashboard-{name}.png")
    browser.show_as(1280, 900, "light")


def main():
    with Bed("pair") as bed:
        laptop, office = bed.pair()
        laptop.peers[0]["name"] = NAME
        office.attach("eth0", "wlan0")
        laptop.attach("eth0", "wlan0")
        laptop.wait_active(2)
        dashboard = laptop.host.start(CENTIPEDE, "dashboard", "--port", "0", stdout=subprocess.PIPE,
                                      stderr=subprocess.DEVNULL)
        url = dashboard.stdout.readline().strip()
        port = url.split(":")[2].split("/")[0]
        outside = office.host.run("nc", "-z", "-w", "2", "10.1.0.1", port, check=False)
        check(outside.returncode != 0, "from another host its port is closed")
        pings = laptop.host.pinging("10.10.0.2", 0.005, 100, size=1000)
        with Chromium(laptop.host) as browser:
            browser.open(url)
            wait_for("both links are shown as active", lambda: states(browser) == {"eth0": "active", "wlan0": "active"})
            wait_for("the curves grow", lambda: all(path["points"] >= 2 for path in paths(browser).values()))
            shown = paths(browser)
            check(all(" ms" in path["text"] and "bit/s" in path["text"] for path in shown.values()),
                  "latency and rate of both links are shown")
            bed.link("eth0", "cut")
            start = time.monotonic()
            wait_for("the cut link is not active any more", lambda: states(browser)["eth0"] != "active", 3)
            took = time.monotonic() - start
            check(states(browser)["wlan0"] == "active", f"the cut link was seen after {took:.1f} s, the other stays")
            wait_for("it is down", lambda: states(browser)["eth0"] == "down", 6)
            pictures(browser)
            bed.link("eth0", "restore")
            wait_for("it is active again", lambda: states(browser)["eth0"] == "active", 15)

            check(NAME in browser.evaluate("[...document.querySelectorAll('h3')].map((title) => title.textContent)"),
                  "a peer's name with HTML in it is shown as it is")
            inside = browser.evaluate("[document.scripts.length, document.images.length, document.title]")
            check(inside[:2] == [1, 0] and inside[2].startswith("cp0: "), f"and does nothing: {inside}")
            kinds = browser.evaluate("[...document.querySelectorAll('#events .text')].map((row) => row.textContent)")
            check(any("eth0" in text for text in kinds), f"the events tell of it: {json.dumps(kinds[:3])}")
            foreign = [address for address in browser.requested() if not address.startswith((url, "data:", "about:"))]
            check(foreign == [], f"nothing is asked of anywhere else: {foreign}")
            check(browser.complaints() == [], f"no complaint in the console: {browser.complaints()}")
            laptop.stop()
            wait_for("a tunnel that has ended is told of",
                     lambda: "does not run" in browser.evaluate("document.getElementById('trouble').innerText"))
        dashboard.terminate()
        check(dashboard.wait(5) == 0, "SIGTERM ends the dashboard with 0")
        pings.process.kill()


if __name__ == "__main__":
    sys.exit(main())
