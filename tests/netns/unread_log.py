#!/usr/bin/python3
"""Nobody reads the log, and the pipe that it goes to is full: the tunnel comes up, goes on and ends all the same; who
reads again finds what there was room for."""

import os
import sys
import threading

from bed import CENTIPEDE, Bed, check, wait_for


def full_pipe():
    """Its two ends; not one byte more goes in."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writing, True)
    return reading, writing


def attach(tunnel, standard_error):
    tunnel.configure()
    tunnel.daemon = tunnel.host.start(CENTIPEDE, "attach", "eth0", "wlan0", "--verbose", stderr=standard_error)
    wait_for("the tunnel answers", tunnel.status_or_none)


def main():
    with Bed("pair") as bed:
        laptop, office = bed.pair()
        office.attach("eth0", "wlan0")
        reading, writing = full_pipe()
        attach(laptop, writing)
        os.close(writing)
        laptop.wait_active(2)
        check(laptop.host.ping("10.10.0.2", 20) == 0, "nobody reads the log: 20 pings, none lost")
        for uplink in ("wlan0", "eth0"):
            check(laptop.ask("detach", uplink).returncode == 0, f"{uplink} is taken away, which is an event")
            check(laptop.ask("attach", uplink).returncode == 0, "and given back")
        laptop.wait_active(2)
        log = []
        reader = threading.Thread(target=lambda: log.append(open(reading, "rb").read()))
        reader.start()
        laptop.stop()
        reader.join(10)
        check(b"cp0 runs over" in log[0] and b"cp0 stopped" in log[0], "who reads it after all finds all of it")

        reading, writing = full_pipe()
        attach(laptop, writing)
        os.close(writing)
        laptop.wait_active(2)
        laptop.stop()
        laptop.nothing_left()
        os.close(reading)


if __name__ == "__main__":
    sys.exit(main())
