"""How Centipede's figures grow: with peers, links, workers, packet size, and the difference in the links' delays."""

import os

from . import chart, contenders, report
from .contenders import centipede
from .measures import CURVE_SIZES, FIGURES
from .session import Row

MODES = ("xdp", "udp")
PEERS = (1, 10, 100, 1000, 10000)
SIZES = tuple(f"udp-{size}" for size in CURVE_SIZES)
DELAYS_MS = (0, 5, 50)
TITLES = {
    "peers": "peers in the office's file, one of them active",
    "links": "links, redundant",
    "workers": "workers",
    "delay": "ms that the second of 2 redundant links is slower, through the link emulator",
    "size": "bytes of a UDP packet, 1 link",
    "wire": "what the link emulator itself costs, 1 link",
}
# Which figures are drawn. The others are in the tables.
CHARTED = {
    "peers": ("memory", "start", "tcp-1", "cpu"),
    "links": ("tcp-1", "cpu", "rtt-idle", "memory"),
    "workers": ("tcp-1", "tcp-4"),
    "delay": ("tcp-1", "rtt-idle"),
}


def name_of(curve, mode, place):
    return f"{curve} {place}, {mode}"


def rows(_):
    found = []

    def add(curve, place, mode, contender, *measures, **surroundings):
        found.append(Row(name_of(curve, mode, place), contender, measures, **surroundings))

    for peers in PEERS:
        add("peers", peers, "xdp", centipede("", "xdp", peers=peers), "start", "rtt-idle", "tcp-1", "memory")
    for mode in MODES:
        for links in (1, 2, 3, 4):
            add("links", links, mode, centipede("", mode, links), "rtt-idle", "tcp-1", "memory")
        for workers in range(1, min(2, os.cpu_count() or 1) + 1):
            add("workers", workers, mode, centipede("", mode, workers=workers), "tcp-1", "tcp-4", "memory")
        add("size", "all", mode, centipede("", mode), *SIZES)
        for delay in DELAYS_MS:
            add("delay", delay, mode, centipede("", mode, 2), "rtt-idle", "tcp-1", emulated=True, delay_ms=delay)
    for wire, emulated in (("veth", False), ("emulator", True)):
        add("wire", wire, "no tunnel", contenders.raw(), "rtt-idle", "tcp-1", emulated=emulated)
        for mode in MODES:
            add("wire", wire, mode, centipede("", mode), "rtt-idle", "tcp-1", emulated=emulated)
    return found


def of_curve(curve, results):
    """{place and mode: figures}, in the order of the run."""
    return {name.removeprefix(f"{curve} "): figures for name, figures in results.items()
            if name.startswith(f"{curve} ")}


def tables(results):
    parts = []
    for curve, title in TITLES.items():
        text = report.table(of_curve(curve, results), lambda figure: f"{figure.title}, {figure.unit}", FIGURES)
        if text:
            parts.append(f"### {curve[0].upper()}{curve[1:]}: {title}\n\n{text}")
    return "\n\n".join(parts)


def series(curve, figure, summed):
    """{mode: {place: Summary}}"""
    found = {}
    for name, figures in summed.items():
        head, _, mode = name.rpartition(", ")
        if head.startswith(f"{curve} ") and figure in figures:
            found.setdefault(mode, {})[head.removeprefix(f"{curve} ")] = figures[figure]
    return found


def size_series(summed):
    """The sizes are figures of one row, not rows of their own."""
    return {name.rpartition(", ")[2]: {figure[4:]: figures[figure] for figure in SIZES if figure in figures}
            for name, figures in summed.items() if name.startswith("size ")}


def draw(title, results):
    summed = report.summaries(results)
    found = [(f"{FIGURES[figure].title}, {FIGURES[figure].unit}", TITLES[curve], series(curve, figure, summed))
             for curve, figures in CHARTED.items() for figure in figures]
    found.append(("UDP, kpacket/s", TITLES["size"], size_series(summed)))
    panels = []
    for heading, axis, lines in found:
        places = sorted({place for points in lines.values() for place in points}, key=float)
        if places:
            panels.append(chart.Lines(heading, axis, places, lines))
    return chart.svg(title, panels)
