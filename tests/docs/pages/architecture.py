"""The architecture's page: the maps of a running tunnel are readable."""

from bed import check

PAGE = "docs/architecture.md"
TOPOLOGY = "pair1"


def run(page, bed):
    laptop, office = bed.pair(endpoints=["10.1.0.2:5820"], mode="xdp")
    page.dress(laptop.host)
    for tunnel in (office, laptop):
        tunnel.attach("eth0")
    laptop.wait_active(1)
    check('"lanes"' in page.run(laptop.host, "sudo bpftool"), "sessions are shown with the names of their fields")
