#!/usr/bin/python3
"""As a new user on a clean Debian 12: the commands of README's "Debian package", from installing the package to the
first ping between two hosts, and purging it, which leaves nothing.

Two roots made by debootstrap, from the package sources of this machine; the first run takes minutes and keeps what it
made below build/. The hosts are namespaces of a test bed. No systemd runs in them as process 1: the service is started
from its unit's ExecStart, and the unit itself is verified by systemd-analyze.

Once before: tools/install-dependencies build demo package
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "netns"))
from bed import BUILD, SOURCE, Bed, check, check_quietly, run, wait_for

CACHE = BUILD.parent / "package-test"
BASE = CACHE / "debian-12"
TOOLS = "iproute2,iputils-ping,procps,systemd,systemd-sysv"
UNIT = "/usr/lib/systemd/system/centipede@.service"
# What apt, dpkg, the linker and systemd keep of their own.
KEPT = re.compile(r"/(proc|sys|dev|run|tmp)(/|$)|/var/(log|cache|lib/dpkg|lib/apt|lib/systemd)(/|$)"
                  r"|/etc/(ld\.so\.cache|group-?|gshadow-?|subuid-?|subgid-?|passwd-?)$|/root/|/etc/\.pwd\.lock$")


def mirror():
    """Where this machine's own Debian 12 packages come from."""
    lines = run("apt-get", "indextargets", "--format", "$(SITE) $(CODENAME) $(COMPONENT)",
                "Created-By: Packages").stdout.splitlines()
    return next(line.split()[0] for line in lines if line.split()[1:] == ["bookworm", "main"])


def make_base():
    """One clean Debian 12, made once."""
    if BASE.exists():
        return
    print("making a root with debootstrap", flush=True)
    unfinished = CACHE / "unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    run("debootstrap", "--variant=minbase", f"--include={TOOLS}", "bookworm", unfinished, mirror(), timeout=1200)
    unfinished.rename(BASE)


class Root:
    """A copy of the base that can be thrown away."""

    def __init__(self, name, host):
        self.host = host
        self.folder = CACHE / name
        self.path = self.folder / "root"
        self.close()
        for part in ("upper", "work", "root"):
            (self.folder / part).mkdir(parents=True)
        run("mount", "-t", "overlay", "overlay", "-o",
            f"lowerdir={BASE},upperdir={self.folder}/upper,workdir={self.folder}/work", self.path)
        for source in Path("/etc/apt").rglob("*"):  # the machine's own way to the archive
            if source.is_file():
                self.write(str(source), source.read_bytes())
        self.write("/etc/resolv.conf", Path("/etc/resolv.conf").read_bytes())
        self.write("/etc/hosts", Path("/etc/hosts").read_bytes())

    def close(self):
        while run("umount", "--lazy", self.path, check=False).returncode == 0:
            pass
        shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, path, content):
        target = Path(str(self.path) + path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)

    def command(self, *words, network="host"):
        """In the root with its own /proc and /sys, in the bed's network or the machine's."""
        mounts = ('mount -t proc proc "$0/proc" && mount -t sysfs sysfs "$0/sys" && mount -t bpf bpf "$0/sys/fs/bpf" && '
                  'mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"')
        enter = ["nsenter", "-t", self.host.pid, "-n", "-u", "--"] if network == "host" else []
        return [*enter, "unshare", "--mount", "sh", "-c", mounts, str(self.path), *map(str, words)]

    def run(self, *words, network="host", **options):
        return run(*self.command(*words, network=network), **options)

    def shell(self, line, **options):
        return self.run("sh", "-c", line, **options).stdout

    def files(self):
        found = self.run("find", "/", "-xdev", "(", "-path", "/proc", "-o", "-path", "/sys", "-o", "-path", "/dev", ")",
                         "-prune", "-o", "-print").stdout.splitlines()
        return {path for path in found if not KEPT.search(path)}

    def start_service(self, instance):
        """What systemd would: the unit's command, ready when it says so."""
        words = re.search(r"^ExecStart=(.*)$", self.shell(f"cat {UNIT}"), re.M)[1].replace("%i", instance).split()
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        manager.settimeout(15)
        path = self.path / "run/notify"
        path.unlink(missing_ok=True)
        manager.bind(str(path))
        process = subprocess.Popen(self.command("env", "NOTIFY_SOCKET=/run/notify", *words))
        self.host.bed.processes.append(process)
        while not (text := manager.recv(4096)).startswith(b"READY=1"):
            check_quietly(text.startswith(b"FDSTORE=1"), f"the service gets ready before it says {text}")
        return process


def blocks(section, kind):
    """README's examples of one kind."""
    text = (SOURCE / "README.md").read_text().split(f"\n## {section}\n")[1].split("\n## ")[0]
    return re.findall(rf"```{kind}\n(.*?)```", text, re.S)


def commands(block):
    return [re.sub(r"\s+#.*", "", line).removeprefix("sudo ") for line in block.splitlines()]


def as_in_the_bed(text, keys):
    """README's addresses, devices and keys are those of nobody."""
    for old, new in (("203.0.113.5", "10.1.0.2"), ("198.51.100.5", "10.2.0.2"), ('"eth1"', '"wlan0"'),
                     ("THE OFFICE'S PUBLIC KEY", keys["office"]), ("THE LAPTOP'S PUBLIC KEY", keys["laptop"])):
        text = text.replace(old, new)
    return text.encode()


def carry_out(command, root, package, keys, files):
    """One of README's commands, on one host; what nobody is there for, the test does: editing, starting."""
    program, *words = command.split()
    if program == "apt":
        check_quietly(words == ["install", f"./{package.name}"], f"the package of this build: {command}")
        root.write(f"/tmp/{package.name}", package.read_bytes())
        root.run("apt-get", "install", "--yes", f"/tmp/{package.name}", network="machine", timeout=300)
    elif program == "editor":
        root.write(words[0], files[root.host.name])
    elif program == "systemctl":
        enabled = root.run(*command.split(), check=False)  # there is no process 1 that could start it now
        check_quietly("Created symlink" in enabled.stderr, f"{command}: {enabled.stderr}")
        return root.start_service(words[-1].split("@")[1])
    else:
        output = root.shell(command)
        if words[0] == "genkey":
            keys[root.host.name] = output.strip()
    return None


def verify_unit(root):
    root.run("systemd-analyze", "verify", "--man=no", "centipede@cp0.service")
    answer = root.shell("systemd-analyze security --offline=true --no-pager centipede@cp0.service")
    score = float(re.search(r"exposure level.*: ([\d.]+)", answer)[1])
    check(score <= 3, f"systemd-analyze security: {score}")


def purge(root, before):
    root.run("apt-get", "purge", "--yes", "--auto-remove", "centipede", timeout=120)
    left = root.files() - before
    check(not left, f"{root.host.name}: purged, and nothing left: {sorted(left)}")
    check_quietly("centipede" not in root.shell("cat /etc/group"), "nor the group")


def scenario(package, roots):
    before = {}
    for root in roots:
        root.run("apt-get", "update", network="machine", timeout=300)
        before[root] = root.files()
    both, laptops = map(commands, blocks("Debian package", "sh"))
    check(len(both) * 2 + len(laptops) <= 10, f"from the package to the first ping in {len(both) * 2 + len(laptops)}")
    keys, files, services = {}, {}, []
    examples = dict(zip(("laptop", "office"), blocks("Between two hosts", "toml")))
    start = time.monotonic()
    for command in both:
        if command.startswith("editor"):
            files = {name: as_in_the_bed(text, keys) for name, text in examples.items()}
        services += filter(None, [carry_out(command, root, package, keys, files) for root in roots])
    (ping,) = laptops
    wait_for("a ping", lambda: roots[0].run(*ping.split(), check=False).returncode == 0)
    check(True, f"{ping}: answered {time.monotonic() - start:.0f} s after the first command")
    verify_unit(roots[0])
    for root in roots:
        status = root.shell("centipede status")
        check_quietly("active" in status, f"{root.host.name}: {status}")
    for root, service in zip(roots, services):
        purge(root, before[root])
        check(service.wait(15) == 0, f"{root.host.name}: that stopped the tunnel first")


def main():
    if os.geteuid() != 0:
        sys.exit("needs root")
    run("cmake", "--build", BUILD, "--target", "centipede", timeout=1800)
    run("cpack", "--config", BUILD / "CPackConfig.cmake", "-B", BUILD, timeout=300)
    (package,) = BUILD.glob("centipede_*.deb")
    make_base()
    with Bed("pair") as bed:
        roots = [Root(name, bed.host(name)) for name in ("laptop", "office")]
        try:
            scenario(package, roots)
        finally:
            for root in roots:
                root.close()


if __name__ == "__main__":
    sys.exit(main())
