"""What is measured on a tunnel that runs. Each measure returns one number for each of its figures.

All traffic goes from the laptop to the office unless said otherwise. Rates are of payload that arrived.
"""

import contextlib
import json
import os
import re
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .bed import HOSTS, BenchError, wait_for

PORT = 5201
UDP_OVERHEAD = 28  # IPv4 and UDP headers
GIGA = 1e9


@dataclass(frozen=True)
class Figure:
    """One number of one contender: a column of the report."""

    title: str
    unit: str
    column: str  # the title within a table of its kind
    ratio: bool = True  # whether a quotient of two of them means anything


@dataclass(frozen=True)
class Settings:
    """How long a measure may take."""

    seconds: int
    silences: int = 5


def udp_figures(size):
    return {f"udp-{size}": Figure(f"UDP, {size} bytes", "kpacket/s", f"{size} bytes"),
            f"udp-{size}-loss": Figure(f"UDP, {size} bytes, lost", "%", "lost %", ratio=False)}


COMPARED_SIZES = (64, 512, 1400)
CURVE_SIZES = (64, 128, 256, 512, 1024, 1400)
FIGURES = {
    "tcp-1": Figure("TCP, 1 stream", "Gbit/s", "1 stream"),
    "tcp-4": Figure("TCP, 4 streams", "Gbit/s", "4 streams"),
    "tcp-both": Figure("TCP, both directions at once, sum", "Gbit/s", "both directions"),
    **{name: figure for size in CURVE_SIZES for name, figure in udp_figures(size).items()},
    "rtt-steady": Figure("round trip, steady", "µs", "steady"),
    "rtt-idle": Figure("round trip, every 5 ms", "µs", "every 5 ms"),
    "rtt-idle-p99": Figure("round trip, every 5 ms, 99th percentile", "µs", "p99", ratio=False),
    "rtt-silence": Figure("round trip after a second of silence", "µs", "after silence"),
    "rtt-load": Figure("round trip beside a TCP stream", "µs", "under load"),
    "rtt-load-p99": Figure("round trip beside a TCP stream, 99th percentile", "µs", "p99", ratio=False),
    "cpu": Figure("processor time", "s/GB", "processor s/GB"),
    "idle": Figure("processor use of an idle tunnel", "% of a core", "idle %", ratio=False),
    "memory": Figure("resident memory", "MiB", "memory MiB"),
    "start": Figure("start to first packet", "s", "start s", ratio=False),
}
congestion_controls = set()  # those that the TCP streams of this run had, as iperf3 reports them


def busy_seconds():
    """Of all processors since the machine started: user, nice, system, irq, softirq."""
    values = [int(word) for word in Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]]
    return sum(values[i] for i in (0, 1, 2, 5, 6)) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def iperf(bed, address, seconds, *options, port=PORT):
    """Yields the running client, whose output is JSON."""
    server = bed.start("office", "iperf3", "--server", "--one-off", "--bind", address, "--port", port)
    client = None
    try:
        wait_for("iperf3 listens", lambda: bed.run("office", "ss", "-ltnH", f"sport = :{port}"))
        client = bed.start("laptop", "iperf3", "--client", address, "--port", port, "--time", seconds, "--json",
                           *options)
        yield client
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(5)
    finally:
        for process in (client, server):
            if process is not None:
                process.kill()
                process.communicate()


def result_of(client, seconds):
    try:
        output = json.loads(client.communicate(timeout=seconds + 20)[0])
    except (subprocess.TimeoutExpired, ValueError) as error:
        raise BenchError(f"iperf3 came to no result: {error}") from error
    if "error" in output:
        raise BenchError(f"iperf3: {output['error']}")
    end = output["end"]
    if "sender_tcp_congestion" in end:
        congestion_controls.add(end["sender_tcp_congestion"])
    return end


def tcp(bed, contender, seconds, *options):
    """What iperf3 reports at the end, and the processor time from its start to its end."""
    with iperf(bed, contender.address, seconds, *options) as client:
        before = busy_seconds()
        end = result_of(client, seconds)
        return end, busy_seconds() - before


def tcp_one_stream(bed, contender, settings):
    end, busy = tcp(bed, contender, settings.seconds)
    received = end["sum_received"]
    return {"tcp-1": received["bits_per_second"] / GIGA, "cpu": busy / (received["bytes"] / GIGA)}


def tcp_four_streams(bed, contender, settings):
    end, _ = tcp(bed, contender, settings.seconds, "--parallel", "4")
    return {"tcp-4": end["sum_received"]["bits_per_second"] / GIGA}


def tcp_both_directions(bed, contender, settings):
    # Two programs: with --bidir, iperf3 3.12 may wait for ever when one of its streams overtakes the other.
    with (iperf(bed, contender.address, settings.seconds) as there,
          iperf(bed, contender.address, settings.seconds, "--reverse", port=PORT + 1) as back):
        ends = [result_of(client, settings.seconds) for client in (there, back)]
    return {"tcp-both": sum(end["sum_received"]["bits_per_second"] for end in ends) / GIGA}


def socket_buffer():
    """As large as the machine lets it be, up to 2 MiB, so that packets are lost in tunnels rather than in iperf3."""
    limits = (Path(f"/proc/sys/net/core/{name}").read_text(encoding="ascii") for name in ("rmem_max", "wmem_max"))
    return min(2 << 20, *map(int, limits))


def udp(size):
    """IP packets of this size, as many as one sender can make."""
    def measure(bed, contender, settings):
        payload = size - UDP_OVERHEAD
        with iperf(bed, contender.address, settings.seconds, "--udp", "--bitrate", "0", "--length", payload,
                   "--window", socket_buffer()) as client:
            end = result_of(client, settings.seconds)
        sent, received = end["sum_sent"]["packets"], end["sum_received"]["bytes"] / payload
        return {f"udp-{size}": received / end["sum_received"]["seconds"] / 1000,
                f"udp-{size}-loss": 100 * (1 - received / sent)}
    return measure


def round_trips(bed, contender, count, interval):
    """In microseconds, in the order of their departure; those that came back. Interval 0: each as the last is back."""
    pace = f"-i {interval}" if interval else "-A"
    text = bed.run("laptop", "sh", "-c", f"ping -n -c {count} {pace} -W 2 {contender.address} || test $? = 1",
                   timeout=count * max(interval, 0.005) + 30)
    times = [float(value) * 1000 for value in re.findall(r"time=([\d.]+) ms", text)]
    if not times:
        raise BenchError("no ping came back")
    return times


def percentile(values, share):
    """The smallest value that at least this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def rtt_steady(bed, contender, _):
    return {"rtt-steady": statistics.mean(round_trips(bed, contender, 2000, 0))}


def rtt_idle(bed, contender, _):
    times = round_trips(bed, contender, 200, 0.005)
    return {"rtt-idle": statistics.median(times), "rtt-idle-p99": percentile(times, 0.99)}


def rtt_after_silence(bed, contender, settings):
    # The first comes after no silence.
    return {"rtt-silence": statistics.median(round_trips(bed, contender, settings.silences + 1, 1)[1:])}


def rtt_under_load(bed, contender, settings):
    seconds = settings.seconds + 1
    with iperf(bed, contender.address, seconds) as client:
        # The control connection and the one that carries data.
        wait_for("the TCP stream runs", lambda: bed.run(
            "laptop", "ss", "-tnH", "state", "established", f"dport = :{PORT}").count("\n") >= 2)
        times = round_trips(bed, contender, settings.seconds * 50, 0.02)
        result_of(client, seconds)
    return {"rtt-load": statistics.median(times), "rtt-load-p99": percentile(times, 0.99)}


def processor_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle(bed, _, settings):
    """Of the end that needs more, while nothing is sent through the tunnel."""
    def used():
        return [sum(map(processor_seconds, bed.processes(host))) for host in HOSTS]

    seconds = settings.silences
    before = used()
    time.sleep(seconds)
    return {"idle": max(now - was for now, was in zip(used(), before)) / seconds * 100}


def resident_kib(pid):
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"), re.MULTILINE)
    return int(found[1]) if found else 0


def memory(bed, _, __):
    """Of the end that needs more."""
    return {"memory": max(sum(map(resident_kib, bed.processes(host))) for host in HOSTS) / 1024}


Measure = Callable[..., dict[str, float]]
# In this order: memory last, when the traffic has been, and the idle tunnel after it as well.
MEASURES: dict[str, Measure] = {
    "rtt-steady": rtt_steady,
    "rtt-idle": rtt_idle,
    "rtt-silence": rtt_after_silence,
    "rtt-load": rtt_under_load,
    "tcp-1": tcp_one_stream,
    "tcp-4": tcp_four_streams,
    "tcp-both": tcp_both_directions,
    **{f"udp-{size}": udp(size) for size in CURVE_SIZES},
    "idle": idle,
    "memory": memory,
}
COMPARED = [name for name in MEASURES if not name.startswith("udp-")]
COMPARED[-2:-2] = [f"udp-{size}" for size in COMPARED_SIZES]
