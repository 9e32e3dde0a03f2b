"""What every plot is made of: axes, grid, legend, the SVG around them. Pure; everything from outside is escaped.

A colour is a number of the page's palette (`--c0` …), which suits both schemes, or any CSS colour.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 660, 300
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 12, 34
Colour = int | str


@dataclass(frozen=True, slots=True)
class Axis:
    """Values from `low` to `high` on pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The pixel of `value`."""
        return self.start + (self.end - self.start) * (value - self.low) / (self.high - self.low)


def nice_ceiling(value: float) -> float:
    """The next round number (1, 1.5, 2, 3 … times a power of ten), at least 1."""
    if value <= 1:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((m * power for m in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if m * power >= value), value)


def ticks(top: float) -> list[float]:
    """Four to six even gaps that end at `top` on numbers people read easily."""
    lead = top / 10 ** math.floor(math.log10(top))
    gaps = {1: 5, 1.5: 6, 2: 4, 3: 6, 4: 4, 5: 5, 6: 6, 8: 4}.get(round(lead, 6), 5)
    return [top * i / gaps for i in range(gaps + 1)]


def css(colour: Colour) -> str:
    """As an SVG attribute."""
    return f"var(--c{colour})" if isinstance(colour, int) else escape(colour)


def grid_x(values: Sequence[float], unit: str, x: Axis) -> list[str]:
    """Upright lines with their values below; the last one with the unit."""
    out = []
    for value in values:
        label = f"{value:.0f}" + (f" {unit}" if value == values[-1] else "")
        at = f"{x.at(value):.1f}"
        out.append(f'<line class="grid" x1="{at}" x2="{at}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        anchor = "end" if value == values[-1] else "middle"
        out.append(f'<text x="{at}" y="{HEIGHT - BOTTOM + 16}" text-anchor="{anchor}">{escape(label)}</text>')
    return out


def grid_y(marks: Sequence[tuple[float, str]], y: Axis) -> list[str]:
    """Level lines with their labels on the left."""
    out = []
    for value, label in marks:
        at = y.at(value)
        out.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        out.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{escape(label)}</text>')
    return out


def svg(parts: Sequence[str], legend: Sequence[tuple[str, Colour, bool]], label: str) -> str:
    """The whole plot: (name, colour, dashed) of each line below it; `label` for those who cannot see it."""
    keys, x, row = [], LEFT, 0
    for name, colour, dashed in legend:
        width = 40 + 7 * len(name)
        if x + width > WIDTH:
            x, row = LEFT, row + 1
        y = HEIGHT + 6 + 20 * row
        dash = ' stroke-dasharray="6 4"' if dashed else ""
        keys.append(f'<line x1="{x}" x2="{x + 20}" y1="{y}" y2="{y}" stroke="{css(colour)}" stroke-width="3"{dash}/>')
        keys.append(f'<text x="{x + 26}" y="{y + 4}">{escape(name)}</text>')
        x += width
    height = HEIGHT + 20 * (row + 1)
    drawn = "".join(parts) + "".join(keys)
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}">{drawn}</svg>'
