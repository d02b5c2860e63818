#!/usr/bin/python3
"""What goes wrong at the start is said in one line, with a way out and the right exit code; nothing is left behind."""

import signal
import subprocess
import sys

from bed import CENTIPEDE, MODE, PROGRAMS, PYTHON, Bed, check, check_quietly, wait_for

HOLD_PORT = """
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
s.bind(("0.0.0.0", 5820))
print("ready", flush=True)
time.sleep(60)
"""


def fails(tunnel, code, what, *mentions, words=("attach", "eth0"), prefix=(), port_free=True):
    answer = tunnel.host.run(*prefix, CENTIPEDE, *words, "-i", "cp0", check=False, timeout=20)
    text = (answer.stdout + answer.stderr).strip()
    last = text.splitlines()[-1] if text else ""
    check(answer.returncode == code and all(word in text for word in mentions),
          f"{what}: exit code {answer.returncode}: {last}")
    tunnel.nothing_left(port_free)


def attach_and_stop(tunnel, what, *mentions):
    tunnel.attach("eth0")
    status = tunnel.status()["uplinks"][0]
    tunnel.stop()
    shown = f"{status['mode']}: {status['reason']}"
    check(all(word in shown for word in mentions), f"{what}: {shown}")


def main():
    with Bed("single") as bed:
        laptop = bed.tunnel(bed.host("laptop"), ["10.10.0.1/24", "fd10::1/64"])
        config = "/etc/centipede/cp0.toml"
        fails(laptop, 2, "no configuration", config)
        laptop.configure()
        text = laptop.host.run("cat", config).stdout
        laptop.host.write(config, text.replace("[interface]\n", "[interface]\nlisten_prot = 5820\n"))
        fails(laptop, 2, "an unknown key", config, ":2:", "listen_prot")
        laptop.host.write(config, text.replace(laptop.private_key, "short"))
        fails(laptop, 2, "a key that is none", config, "private_key")
        laptop.configure()
        fails(laptop, 1, "a missing uplink", "missing0", "no such device", words=("attach", "missing0"))
        fails(laptop, 2, "no uplinks at all", "uplinks", words=("attach",))
        fails(laptop, 2, "a wrong option", "--help", words=("attach", "--wrong"))
        nobody = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
        fails(laptop, 1, "not root", "root", prefix=nobody)

        holder = laptop.host.start(PYTHON, "-c", HOLD_PORT, stdout=subprocess.PIPE)
        check_quietly(holder.stdout.readline() == "ready\n", "the port is held")
        fails(laptop, 1, "a port in use", "5820", "eth0", port_free=False)
        holder.kill()
        holder.wait()

        laptop.host.run(PYTHON, PROGRAMS / "foreign_xdp.py", "eth0")
        foreign = lambda: "xdp" in laptop.host.run("ip", "-d", "link", "show", "eth0").stdout
        check(foreign(), "a foreign XDP program is on eth0")
        if MODE == "xdp":
            answer = laptop.host.run(CENTIPEDE, "attach", "eth0", check=False, timeout=20)
            said = (answer.stdout + answer.stderr).strip()
            check(answer.returncode == 1 and "somebody_elses" in said, f"mode xdp: {said.splitlines()[-1]}")
        laptop.options["mode"] = "auto"
        attach_and_stop(laptop, "mode auto receives without XDP here and says why", "udp", "software")
        check(foreign(), "the foreign program is still there")
        laptop.host.run("ip", "link", "set", "eth0", "xdp", "off")
        laptop.options["mode"] = MODE
        laptop.nothing_left()

        laptop.configure()
        both = [laptop.host.start(CENTIPEDE, "attach", name, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                for name in ("eth0", "wlan0")]
        one = wait_for("one of two has given the other its uplink",
                       lambda: next((process for process in both if process.poll() is not None), None))
        check(one.returncode == 0, f"two attaches at once, the second says: {one.stdout.read().strip()}")
        laptop.daemon = next(process for process in both if process is not one)
        names = wait_for("both uplinks", lambda: sorted(uplink["name"] for uplink in laptop.status()["uplinks"]))
        check(names == ["eth0", "wlan0"], f"the first runs with {names}")
        laptop.stop()
        laptop.nothing_left()


if __name__ == "__main__":
    sys.exit(main())
