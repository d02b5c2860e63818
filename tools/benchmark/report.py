"""Figures as tables and JSON. Pure: nothing here measures.

`results` is what a run collected: {row: {figure: [one value a round]}}, rows and figures in the order of the run.
"""

import statistics
from dataclasses import dataclass

from .contenders import RAW, WIREGUARD_GO
from .measures import COMPARED_SIZES, FIGURES

TABLES = {
    "TCP, Gbit/s": ("tcp-1", "tcp-4", "tcp-both"),
    "UDP, thousand packets a second": tuple(name for size in COMPARED_SIZES
                                            for name in (f"udp-{size}", f"udp-{size}-loss")),
    "Round trip, µs": ("rtt-steady", "rtt-idle", "rtt-idle-p99", "rtt-silence", "rtt-load", "rtt-load-p99"),
    "Cost": ("cpu", "idle", "memory"),
}
BASELINES = {"× raw": RAW, "× wg-go": WIREGUARD_GO}


@dataclass(frozen=True)
class Summary:
    """The rounds of one figure in one row."""

    median: float
    low: float
    high: float
    rounds: int


def summary(values):
    return Summary(statistics.median(values), min(values), max(values), len(values))


def summaries(results):
    return {row: {figure: summary(values) for figure, values in figures.items() if values}
            for row, figures in results.items()}


def ratio(summed, row, figure, baseline):
    """Median by median; None where either is missing or the baseline is 0."""
    own, other = (summed.get(name, {}).get(figure) for name in (row, baseline))
    return own.median / other.median if own and other and other.median else None


def number(value):
    """Three digits that count."""
    if value >= 99.5 or value == 0:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 9.95 else f"{value:.2f}"


def cell(found):
    if not found:
        return "–"
    spread = f" [{number(found.low)}–{number(found.high)}]" if found.rounds > 1 else ""
    return number(found.median) + spread


def markdown(header, rows):
    """Aligned, so that it reads in a terminal as well."""
    widths = [max(len(line[column]) for line in (header, *rows)) for column in range(len(header))]

    def line(cells):
        first, *rest = (text.ljust(width) if index == 0 else text.rjust(width)
                        for index, (text, width) in enumerate(zip(cells, widths, strict=True)))
        return "| " + " | ".join((first, *rest)) + " |"

    rule = "|" + "|".join("-" * (width + 2) if index == 0 else "-" * (width + 1) + ":"
                          for index, width in enumerate(widths)) + "|"
    return "\n".join((line(header), rule, *map(line, rows)))


def table(results, header_of, figures, baselines=()):
    """One row a contender: median [min–max] of each figure, then its ratio to each baseline."""
    summed = summaries(results)
    figures = [name for name in figures if any(name in row for row in summed.values())]
    if not figures:
        return ""
    header = [""]
    for name in figures:
        header += (header_of(FIGURES[name]), *(baselines if FIGURES[name].ratio else ()))
    rows = []
    for row, found in summed.items():
        cells = [row]
        for name in figures:
            cells.append(cell(found.get(name)))
            if FIGURES[name].ratio:
                quotients = (ratio(summed, row, name, BASELINES[title]) for title in baselines)
                cells += ["–" if value is None else number(value) for value in quotients]
        rows.append(cells)
    return markdown(header, rows)


def comparison_tables(results):
    parts = ((title, table(results, lambda figure: figure.column, figures, tuple(BASELINES)))
             for title, figures in TABLES.items())
    return "\n\n".join(f"### {title}\n\n{text}" for title, text in parts if text)




def document(about, results):
    """What goes into the JSON file: every round, and what the tables say."""
    summed = summaries(results)
    return {
        "about": about,
        "figures": {name: {"title": figure.title, "unit": figure.unit} for name, figure in FIGURES.items()
                    if any(name in row for row in results.values())},
        "results": {
            row: {name: {"rounds": values, "median": summed[row][name].median, "min": summed[row][name].low,
                         "max": summed[row][name].high,
                         "ratios": {base: ratio(summed, row, name, base) for base in BASELINES.values()}
                         if FIGURES[name].ratio else {}}
                  for name, values in figures.items() if values}
            for row, figures in results.items()
        },
    }
