"""Clean Debian 12 roots, and machines that run them: a container of systemd-nspawn for each, with systemd as process 1,
in the network of one host of a test bed.

A root is made by debootstrap, from the package sources of this machine; the first run takes minutes and keeps what it
made below build/. Each machine gets a layer of its own over it, which is thrown away.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "netns"))
from bed import BUILD, run, wait_for

CACHE = BUILD.parent / "package-test"
BASE = CACHE / "debian-12"
TOOLS = "iproute2,iputils-ping,procps,systemd,systemd-sysv"
# What apt, dpkg, the linker and systemd keep of their own.
KEPT = re.compile(r"/(proc|sys|dev|run|tmp)(/|$)|/var/(log|cache|lib/dpkg|lib/apt|lib/systemd)(/|$)"
                  r"|/etc/(ld\.so\.cache|machine-id|group-?|gshadow-?|subuid-?|subgid-?|passwd-?)$|/root/"
                  r"|/etc/\.pwd\.lock$|/var/tmp/systemd-private-")
ENVIRONMENT = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8",
               "DEBIAN_FRONTEND=noninteractive", "SYSTEMD_PAGER=", "SYSTEMD_COLORS=0")
# In a cgroup and a mount namespace of its own, with one hierarchy of cgroups and a /run that nobody else sees:
# nothing that nspawn makes there is this machine's.
BOOT = """
set -e
echo 0 >"$1/cgroup.procs"
exec unshare --mount sh -c '
  set -e
  network=$(readlink -f "/proc/$2/ns") root=$3
  umount --recursive /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup
  mount -t tmpfs tmpfs /run && mkdir /run/bpf && mount -t bpf -o mode=700 bpf /run/bpf
  exec systemd-nspawn --quiet --boot --register=no --keep-unit --directory="$root" --machine="$4" \\
    --network-namespace-path="$network/net" --capability=all --system-call-filter="bpf perf_event_open" \\
    --bind=/dev/net/tun --bind=/run/bpf:/sys/fs/bpf --resolv-conf=off --timezone=off --link-journal=no --console=pipe
' boot "$@"
"""


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


def build_package():
    run("cmake", "--build", BUILD, "--target", "centipede", timeout=1800)
    run("cpack", "--config", BUILD / "CPackConfig.cmake", "-B", BUILD, timeout=300)
    (package,) = BUILD.glob("centipede_*.deb")
    return package


def cgroups():
    """Where the hierarchy of version 2 is."""
    mounted = [Path(line.split()[1]) for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
               if line.split()[2] == "cgroup2"]
    if not mounted:
        sys.exit("needs a hierarchy of cgroups v2: mount -t cgroup2 cgroup2 SOMEWHERE")
    return mounted[0]


class Machine:
    """A container that has booted, on one host of a bed."""

    def __init__(self, host):
        self.host = host
        self.name = host.name
        self.folder = CACHE / f"{host.bed.name}-{host.name}"
        self.root = self.folder / "root"
        self.cgroup = cgroups() / self.folder.name
        self.leader = None
        self.close()
        for part in ("upper", "work", "root"):
            (self.folder / part).mkdir(parents=True)
        run("mount", "-t", "overlay", "overlay", "-o",
            f"lowerdir={BASE},upperdir={self.folder}/upper,workdir={self.folder}/work", self.root)
        for source in Path("/etc/apt").rglob("*"):  # the machine's own way to the archive
            if source.is_file():
                self.write(str(source), source.read_bytes())
        self.write("/etc/resolv.conf", Path("/etc/resolv.conf").read_bytes())
        self.write("/etc/hosts", Path("/etc/hosts").read_bytes())
        self.write("/etc/hostname", f"{self.name}\n".encode())

    def boot(self):
        self.cgroup.mkdir()
        self.container = subprocess.Popen(
            ["sh", "-c", BOOT, "boot", self.cgroup, self.host.pid, self.root, self.name], stdin=subprocess.DEVNULL,
            stdout=open(self.folder / "console", "w", encoding="utf-8"), stderr=subprocess.STDOUT)
        self.host.bed.processes.append(self.container)
        wait_for(f"{self.name} has booted", self.has_booted, 60)

    def has_booted(self):
        if self.container.poll() is not None:
            raise AssertionError(f"{self.name} does not boot: {(self.folder / 'console').read_text()}")
        found = run("pgrep", "--parent", self.container.pid, "--exact", "systemd", check=False).stdout.split()
        if not found:
            return False
        self.leader = found[0]
        return self.run("systemctl", "is-system-running", check=False).stdout == "running\n"

    def close(self):
        if self.leader:
            self.run("systemctl", "poweroff", check=False)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.container.wait(20)
            self.container.kill()
            self.container.wait()
        if self.cgroup.exists():
            (self.cgroup / "cgroup.kill").write_text("1")
            wait_for(f"{self.cgroup} is empty", lambda: "populated 0" in (self.cgroup / "cgroup.events").read_text())
            for folder in sorted(self.cgroup.rglob("*/"), reverse=True):
                folder.rmdir()
            self.cgroup.rmdir()
        while run("umount", "--lazy", self.root, check=False).returncode == 0:
            pass
        shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, path, content, mode=0o644):
        target = Path(str(self.root) + path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        target.chmod(mode)

    def command(self, *words, network="host"):
        """In the container, with its network or with this machine's."""
        namespaces = ["--mount", "--pid", "--ipc", "--uts", "--cgroup"] + (["--net"] if network == "host" else [])
        return ["nsenter", "--target", self.leader, *namespaces, "--root", "--wd", "--", "env", "-i", *ENVIRONMENT,
                *map(str, words)]

    def run(self, *words, network="host", **options):
        return run(*self.command(*words, network=network), **options)

    def shell(self, line, **options):
        return self.run("sh", "-c", line, **options).stdout

    def install(self, package):
        self.write(f"/root/{package.name}", package.read_bytes())
        self.run("apt-get", "install", "--yes", f"/root/{package.name}", network="machine", timeout=300)

    def files(self):
        found = self.run("find", "/", "-xdev", "(", "-path", "/proc", "-o", "-path", "/sys", "-o", "-path", "/dev", ")",
                         "-prune", "-o", "-print").stdout.splitlines()
        return {path for path in found if not KEPT.search(path)}


@contextlib.contextmanager
def machines(bed, *names):
    """Booted, and gone afterwards."""
    if os.geteuid() != 0:
        sys.exit("needs root")
    make_base()
    with contextlib.ExitStack() as stack:
        all_of_them = []
        for name in names:
            all_of_them.append(machine := Machine(bed.host(name)))
            stack.callback(machine.close)
            machine.boot()
        yield all_of_them
