"""Centipede beside other tunnels, and beside no tunnel."""

from . import chart, contenders, report
from .measures import COMPARED, FIGURES
from .session import Row

CHARTED = ("tcp-1", "tcp-both", "udp-64", "udp-1400", "rtt-steady", "rtt-load", "cpu", "memory")
OF_PROCESSES = ("idle", "memory")  # there is none without a tunnel


def rows(files):
    """The built-in contenders and those of these command files."""
    found = contenders.built_in() + [contenders.load(file) for file in files]
    names = [contender.name for contender in found]
    for name in names:
        if names.count(name) > 1:
            raise contenders.BenchError(f"two contenders are called '{name}'")
    return [Row(contender.name, contender,
                tuple(name for name in COMPARED if name not in OF_PROCESSES or contender.name != contenders.RAW))
            for contender in found]


def draw(title, results):
    summed = report.summaries(results)
    panels = []
    for figure in CHARTED:
        bars = [(name, found[figure], name.startswith(contenders.OURS)) for name, found in summed.items()
                if figure in found]
        if bars:
            panels.append(chart.Bars(f"{FIGURES[figure].title}, {FIGURES[figure].unit}", bars))
    return chart.svg(title, panels)


def tables(results):
    return report.comparison_tables(results)
