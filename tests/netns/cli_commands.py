#!/usr/bin/python3
"""Every command on a running tunnel does what it says, wrong ones are refused with the reason, and pings go on."""

import json
import signal
import sys

from bed import CENTIPEDE, Bed, check, wait_for

WIREGUARD = """[Interface]
PrivateKey = cGxhaW5seSBhIGtleSBvZiBXaXJlR3VhcmQncyAtLS0=
Address = 10.7.0.2/24
PostUp = true
[Peer]
PublicKey = c2VjcmV0IGtleSBvZiBXaXJlR3VhcmQncyBvd24uLi4=
AllowedIPs = 10.7.0.0/24
Endpoint = vpn.example.org:51820
"""


def does(tunnel, *words):
    answer = tunnel.ask(*words)
    text = " ".join((answer.stdout + answer.stderr).split())
    check(answer.returncode == 0, f"{' '.join(words).encode('ascii', 'backslashreplace').decode()}: {text[:100]}")
    return answer.stdout


def refused(tunnel, code, mention, *words):
    """In one line that says why; nothing has changed."""
    before = shown(tunnel)
    answer = tunnel.ask(*words)
    said = answer.stderr.strip()
    check(answer.returncode == code and mention in said and "\n" not in said, f"{' '.join(words).encode('ascii', 'backslashreplace').decode()}: {said}")
    check(shown(tunnel) == before, "and nothing has changed")


def shown(tunnel):
    return tunnel.ask("export").stdout


def sending(tunnel):
    return sorted(path["uplink_name"] for path in tunnel.paths("office") if path["sending"])


def new_key(host):
    return host.centipede("pubkey", input=host.centipede("genkey").stdout).stdout.strip()


def shows(laptop):
    for words in (("peer", "list"), ("peer", "show", "office"), ("path", "list"), ("uplink", "list")):
        text = does(laptop, *words)
        check(all(len(line) <= 80 for line in text.splitlines()), "in 80 columns")
        json.loads(laptop.ask(*words, "--json").stdout)
    pinged = [json.loads(line) for line in does(laptop, "ping", "office", "-c", "2", "--interval", "20",
                                                "--timeout", "200", "--json").splitlines()]
    answered = sorted(row["uplink"] for row in pinged if row["rtt_us"])
    check(answered == ["eth0", "eth0", "wlan0", "wlan0"], "two probes are answered over each link")
    check("path" in does(laptop, "events", "--no-follow"), "there are events of paths")


def output_that_cannot_be_written(laptop):
    for words in ("status", "status --json", "peer list", "export", "events --no-follow", "ping office -c 1", "--help",
                  "completion fish", "genpsk", "doctor --json", "dashboard --port 0"):
        full = laptop.host.run("sh", "-c", f"exec {CENTIPEDE} {words} > /dev/full", check=False)
        check(full.returncode == 1 and "No space left" in full.stderr, f"{words} > /dev/full: {full.stderr.strip()}")
    without_reader = f"cd $(mktemp -d) && mkfifo f && exec 3<>f 4>f 3<&- && {CENTIPEDE} status >&4; echo $?"
    gone = laptop.host.run("sh", "-c", without_reader)
    check((gone.stdout, gone.stderr) == ("141\n", ""), "a reader that has left ends it as it ends others, without a word")


def peers(laptop):
    key = new_key(laptop.host)
    laptop.host.centipede("genpsk", "-o", "/etc/centipede/guest.psk")
    does(laptop, "peer", "add", key, "--name", "guest", "--allowed-ips", "10.20.0.0/24", "--endpoint",
         "guest.example:5820", "--preshared-key-file", "/etc/centipede/guest.psk")
    check("10.20.0.0/24" in laptop.host.run("ip", "route", "show", "dev", "cp0").stdout, "its network is routed")
    refused(laptop, 1, "key", "peer", "add", key)
    refused(laptop, 1, "office", "peer", "add", new_key(laptop.host), "--name", "office")
    refused(laptop, 1, "10.10.0.2", "peer", "add", new_key(laptop.host), "--allowed-ips", "10.10.0.2/32")
    refused(laptop, 2, "own", "peer", "add", laptop.public_key)
    does(laptop, "peer", "set", "guest", "--policy", "backup", "--name", "the guest", "--no-preshared-key")
    does(laptop, "peer", "remove", "the guest")
    check("10.20.0.0/24" not in laptop.host.run("ip", "route", "show", "dev", "cp0").stdout, "its route has gone")
    refused(laptop, 1, "the guest", "peer", "remove", "the guest")


def paths_and_uplinks(laptop):
    does(laptop, "path", "down", "office", "eth0")
    wait_for("data goes over wlan0 alone", lambda: sending(laptop) == ["wlan0"])
    does(laptop, "path", "set", "office", "eth0", "--priority", "5")
    does(laptop, "path", "up", "office", "eth0")
    wait_for("data goes over both", lambda: sending(laptop) == ["eth0", "wlan0"])
    refused(laptop, 1, "eth7", "path", "down", "office", "eth7")
    does(laptop, "uplink", "set", "wlan0", "--metered", "yes", "--rate", "20M")
    does(laptop, "uplink", "remove", "eth0")
    wait_for("data goes over wlan0 alone", lambda: sending(laptop) == ["wlan0"])
    does(laptop, "uplink", "add", "eth0", "--priority", "3")
    wait_for("data goes over both", lambda: sending(laptop) == ["eth0", "wlan0"])
    refused(laptop, 1, "eth0", "uplink", "add", "eth0")
    refused(laptop, 1, "fifteen-letters", "uplink", "add", "fifteen-letters")
    refused(laptop, 2, "1 to 15", "uplink", "add", "sixteen-letters!")
    refused(laptop, 2, "1 to 15", "uplink", "add", "a\udcff\x01")
    refused(laptop, 1, "missing0", "uplink", "remove", "missing0")


def files(laptop):
    """What export prints, with its key, is what is in force; a bad file changes nothing."""
    exported = does(laptop, "export")
    check(laptop.private_key not in exported, "export shows no secret")
    whole = exported.replace("[interface]\n", f'[interface]\nprivate_key = "{laptop.private_key}"\n', 1)
    laptop.host.write("/etc/centipede/cp0.toml", whole)
    check("in force already" in does(laptop, "reload"), "what was exported is what is in force")
    laptop.host.write("/etc/centipede/cp0.toml", whole[:-9])
    refused(laptop, 2, "cp0.toml:", "reload")
    laptop.host.write("/etc/centipede/cp0.toml", whole.replace("listen_port = 5820", "listen_port = 5999"))
    refused(laptop, 2, "listen_port", "reload")
    laptop.host.write("/etc/centipede/cp0.toml", whole.replace('policy = "redundant"', 'policy = "backup"'))
    laptop.daemon.send_signal(signal.SIGHUP)
    wait_for("SIGHUP applies the file", lambda: len(sending(laptop)) == 1)
    laptop.host.write("/etc/centipede/cp0.toml", whole)
    check("peer office: policy" in does(laptop, "reload"), "reload says what changed")
    wait_for("data goes over both", lambda: sending(laptop) == ["eth0", "wlan0"])


def without_a_tunnel(host):
    host.write("/tmp/wg0.conf", WIREGUARD)
    imported = host.run("sh", "-c", "cd /tmp && exec \"$0\" import wg0.conf", CENTIPEDE)
    check("vpn.example.org:51820" in imported.stdout and "wg0.conf:4: PostUp" in imported.stderr,
          "import says what did not carry over")
    check("complete -F" in host.centipede("completion", "bash").stdout, "completion prints a script")
    check("cp0" in host.centipede("__complete", "status", "-i", "").stdout, "and completes the tunnel's name")
    doctor = host.centipede("doctor", check=False)
    check(doctor.returncode in (0, 1) and "ok    configuration" in doctor.stdout, "doctor reads the file")
    check(host.centipede("peer", "list", "-i", "cp9", check=False).returncode == 1, "a tunnel that does not run is 1")
    check(host.centipede("peer", "lst", check=False).returncode == 2, "a command that there is not is 2")


def main():
    with Bed("pair") as bed:
        laptop, office = bed.pair()
        laptop.options["uplinks"] = ["eth0", "wlan0"]
        office.attach("eth0", "wlan0")
        laptop.attach()
        laptop.wait_active(2)
        office.wait_active(2)
        pings = laptop.host.pinging("10.10.0.2", 0.002, 500)
        shows(laptop)
        output_that_cannot_be_written(laptop)
        peers(laptop)
        paths_and_uplinks(laptop)
        files(laptop)
        pings.nothing_lost("all of that")
        without_a_tunnel(laptop.host)
        busy = laptop.host.pinging("10.10.0.2", 0.002, 100)
        does(laptop, "peer", "remove", "office")
        check(laptop.status()["peers"] == [], "the peer that carried traffic has gone, the tunnel runs on")
        check("peer office: added" in does(laptop, "reload"), "reload brings it back")
        wait_for("its paths come back", lambda: sending(laptop) == ["eth0", "wlan0"])
        busy.end()
        check(laptop.host.ping("10.10.0.2") == 0, "and it carries packets again")
        does(laptop, "detach")
        check(laptop.daemon.wait(5) == 0, "attach ended with 0")
        laptop.nothing_left()


if __name__ == "__main__":
    sys.exit(main())
