"""Charts as SVG text: bars for the comparison, lines for the curves. Pure, and without any library.

A panel is one figure; `svg` puts panels side by side. Values are report.Summary: the median is drawn, the range from
the lowest to the highest round is a thin line.
"""

import math
from dataclasses import dataclass
from xml.sax.saxutils import escape

from .report import number

PANEL = 520
GAP = 24
LABELS = 225  # left of the bars
VALUES = 60  # right of the bars
ROW = 22
PLOT_HEIGHT = 170
COLOURS = ("#1f6feb", "#d4581a", "#2d8f4e", "#8a4fbf")
OTHERS = "#9aa4b2"
INK = "#24292f"


@dataclass(frozen=True)
class Bars:
    """Rows of (label, Summary, whether it is ours)."""

    title: str
    rows: list

    @property
    def height(self):
        return 40 + ROW * len(self.rows)

    def draw(self, left, top):
        top_value = max((found.high for _, found, _ in self.rows), default=0) or 1
        scale = (PANEL - LABELS - VALUES) / top_value
        parts = [text(left, top + 16, self.title, bold=True)]
        for index, (label, found, ours) in enumerate(self.rows):
            y = top + 30 + ROW * index
            start = left + LABELS
            parts.append(text(start - 8, y + 13, label, anchor="end", bold=ours))
            parts.append(f'<rect x="{start}" y="{y}" width="{found.median * scale:.1f}" height="{ROW - 6}" '
                         f'fill="{COLOURS[0] if ours else OTHERS}"/>')
            parts.append(line(start + found.low * scale, y + 8, start + found.high * scale, y + 8, INK))
            parts.append(text(start + found.high * scale + 6, y + 13, number(found.median)))
        return parts


@dataclass(frozen=True)
class Lines:
    """Series over places at equal distances: {name: {place: Summary}}."""

    title: str
    axis: str
    places: list
    series: dict

    @property
    def height(self):
        return PLOT_HEIGHT + 90

    def draw(self, left, top):
        highest = max((found.high for points in self.series.values() for found in points.values()), default=0)
        ceiling = round_up(highest)
        base, start, width = top + 36 + PLOT_HEIGHT, left + 50, PANEL - 70
        step = width / max(1, len(self.places))

        def at(place, value):
            return start + step * (self.places.index(place) + 0.5), base - PLOT_HEIGHT * value / ceiling

        parts = [text(left, top + 16, self.title, bold=True)]
        for part in (0, 0.5, 1):
            y = base - PLOT_HEIGHT * part
            parts += [line(start, y, start + width, y, "#d0d7de"),
                      text(start - 6, y + 4, number(ceiling * part), anchor="end")]
        parts += [text(at(place, 0)[0], base + 16, str(place), anchor="middle") for place in self.places]
        parts.append(text(start + width / 2, base + 32, self.axis, anchor="middle"))
        for index, (name, points) in enumerate(self.series.items()):
            colour = COLOURS[index % len(COLOURS)]
            corners = [at(place, points[place].median) for place in self.places if place in points]
            joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
            parts.append(f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="2"/>')
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in corners]
            parts += [line(at(place, 0)[0], at(place, found.low)[1], at(place, 0)[0], at(place, found.high)[1], colour)
                      for place, found in points.items()]
            parts.append(text(start + 130 * index, base + 50, f"● {name}", colour=colour))
        return parts


def round_up(value):
    """The next of 1, 2, 3, 4, 5, 6, 8, 10 times a power of ten: an axis ends there."""
    if value <= 0:
        return 1
    power = 10 ** math.floor(math.log10(value))
    return next(power * step for step in (1, 2, 3, 4, 5, 6, 8, 10) if power * step >= value * (1 - 1e-9))


def text(x, y, words, anchor="start", bold=False, colour=INK):
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"{weight}>{escape(words)}</text>'


def line(x1, y1, x2, y2, colour):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def svg(title, panels, columns=2):
    """Panels in rows of so many."""
    parts, top = [], 2 * GAP
    for first in range(0, len(panels), columns):
        row = panels[first:first + columns]
        for column, panel in enumerate(row):
            parts += panel.draw(GAP + column * (PANEL + GAP), top)
        top += max(panel.height for panel in row) + GAP
    width = GAP + min(columns, max(1, len(panels))) * (PANEL + GAP)
    return "\n".join((
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{top}" viewBox="0 0 {width} {top}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{top}" fill="#ffffff"/>',
        f'<text x="{GAP}" y="{GAP + 4}" font-size="15" fill="{INK}">{escape(title)}</text>',
        *parts, "</svg>", ""))
