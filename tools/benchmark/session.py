"""Runs what there is to measure, in turns, and survives what fails.

The rows take turns, several rounds of them, so that whatever else the machine does hits all alike.
"""

import contextlib
import re
import sys
import tempfile
import time
from dataclasses import dataclass

from . import contenders
from .bed import BenchError
from .measures import MEASURES


@dataclass(frozen=True)
class Row:
    """A contender in certain surroundings, and the measures it is put to."""

    name: str
    contender: contenders.Contender
    measures: tuple
    emulated: bool = False  # links through the link emulator instead of plain veth pairs
    delay_ms: int = 0  # of the second link, when emulated


def say(words):
    print(words, file=sys.stderr, flush=True)


def chosen(rows, only):
    """What the regular expression leaves: it is matched against "ROW/MEASURE"."""
    try:
        pattern = re.compile(only)
    except re.error as error:
        raise BenchError(f"--only: no regular expression: {error}") from error
    left = []
    for row in rows:
        measures = tuple(name for name in row.measures if pattern.search(f"{row.name}/{name}"))
        if measures:
            left.append(Row(row.name, row.contender, measures, row.emulated, row.delay_ms))
    if not left:
        raise BenchError(f"--only: nothing is called like {only}")
    return left


def estimate(rows, rounds, settings):
    """Seconds that the run will take, roughly."""
    cost = {"rtt-silence": settings.silences, "rtt-load": settings.seconds + 1.2, "rtt-steady": 0.5,
            "rtt-idle": 1.2, "idle": settings.silences, "memory": 0, "start": 0}
    return rounds * sum(1.5 + sum(cost.get(name, settings.seconds + 0.3) for name in row.measures) for row in rows)


@contextlib.contextmanager
def running(bed, row):
    """A fresh bed with the row's tunnel on it. Yields the seconds that it took to start."""
    bed.down()
    try:
        bed.up(row.contender.links, row.emulated)
        if row.delay_ms:
            bed.set_delay("wlan0", row.delay_ms)
        with tempfile.TemporaryDirectory(prefix="centipede-bench-") as folder:
            yield contenders.start(bed, row.contender, folder)
    finally:
        bed.down()


def take(bed, row, settings, figures):
    with running(bed, row) as seconds:
        if "start" in row.measures:
            figures.setdefault("start", []).append(seconds)
        for name in row.measures:
            if name == "start" or (name.startswith("udp-") and int(name[4:]) > row.contender.mtu):
                continue
            try:
                for figure, value in MEASURES[name](bed, row.contender, settings).items():
                    figures.setdefault(figure, []).append(value)
            except BenchError as error:
                raise BenchError(f"{row.name}: {name}: {error}") from error


def run(bed, rows, rounds, settings):
    """The results as report.py takes them, and what went wrong or was left out, in words."""
    results = {row.name: {} for row in rows}
    problems, skipped = [], {}
    begin = time.monotonic()
    for number in range(1, rounds + 1):
        for row in rows:
            if row.name in skipped:
                continue
            say(f"{time.monotonic() - begin:5.0f} s  round {number} of {rounds}: {row.name}")
            try:
                take(bed, row, settings, results[row.name])
            except contenders.Skipped as reason:
                skipped[row.name] = str(reason)
                say(f"         skipped: {reason}")
            except BenchError as error:
                problems.append(str(error))
                say(f"         failed: {error}")
    return {name: found for name, found in results.items() if found}, problems, skipped
