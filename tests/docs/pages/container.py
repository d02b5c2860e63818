"""The container's page, without an engine: the image's ENTRYPOINT with exactly the capabilities and folders of the page's
`docker run`, once with XDP and once with UDP sockets alone."""

import json
import re

from bed import check, wait_for
from world import known, make_key, wait_paths

PAGE = "docs/howto/container.md"
TOPOLOGY = "pair"
FILE = "/etc/centipede/cp0.toml"


def confined(page, host, run_command, entrypoint):
    """The words of the engine's command, with the kernel's own means."""
    kept = [name.lower() for name in re.findall(r"--cap-add (\w+)", run_command)]
    volumes = [volume.split(":") for volume in re.findall(r"--volume (/\S+)", run_command)]
    hidden = {"/sys/fs/bpf", "/run/centipede"} - {volume[1] for volume in volumes}
    mounts = "".join(f"mount -t tmpfs -o ro tmpfs {folder}; " for folder in sorted(hidden))
    mounts += "".join(f"mount --bind {volume[0]} {volume[0]}; mount -o remount,bind,ro {volume[0]}; "
                      for volume in volumes if volume[2:] == ["ro"])
    capabilities = ",".join(["-all", *(f"+{name}" for name in kept)])
    return page.start_words(host, f"unshare --mount sh -ec '{mounts} exec setpriv --no-new-privs --inh-caps=-all "
                                  f"--bounding-set={capabilities} {' '.join(entrypoint)}'")


def run(page, bed):
    laptop = bed.host("laptop")
    page.dress(laptop)
    key = make_key(page, laptop, "THE LAPTOP'S PUBLIC KEY")
    del page.replaced["THE LAPTOP'S PUBLIC KEY"]
    office = bed.tunnel(bed.host("office"), ["10.10.0.2/24"])
    office.host.run("ip", "address", "add", "203.0.113.5/32", "dev", "eth0")
    laptop.run("ip", "route", "add", "203.0.113.5/32", "dev", "eth0")
    office.add_peer(known(laptop, key, "10.10.0.1/24"))
    office.attach("eth0", "wlan0")
    page.replaced["THE OFFICE'S PUBLIC KEY"] = office.public_key
    entrypoint = json.loads(re.search(r"ENTRYPOINT (.*)", page.file("FROM debian"))[1])
    file = page.file('name = "office"')
    runs = sorted({command.text for command in page.commands if command.text.startswith("docker run -d")}, key=len)
    for run_command, mode, shown in zip(runs, ("udp", "xdp"), ("udp", "native")):
        laptop.write(FILE, file.replace("[interface]", f'[interface]\nmode = "{mode}"'))
        running = confined(page, laptop, run_command, entrypoint)
        wait_for("it answers", lambda: page.answers(laptop, "cp0", running), 15)
        wait_paths(laptop, 1)
        wait_for("ping is answered", lambda: laptop.ping("10.10.0.2") == 0)
        check(True, f"mode {mode}: with {re.findall('--cap-add (.*?) ', run_command)}")
        status = page.run(laptop, "sudo centipede status")
        check(f"mode {shown}" in status, f"it receives through {shown}")
        running.interrupt()
