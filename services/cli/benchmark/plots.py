"""Three plots as SVG text: cumulative distributions, figures against load, a turn as a waterfall.

Pure; everything from outside is escaped. Colours are the page's variables (`--c0` …), so that they suit both schemes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from services.cli.benchmark.svg_parts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Axis,
    Colour,
    css,
    grid_x,
    grid_y,
    nice_ceiling,
    svg,
    ticks,
)

# More points of a distribution than this are not seen.
_MOST_STEPS = 120
_ROW = 24
_LABEL = 124


@dataclass(frozen=True, slots=True)
class Series:
    """Sorted values of one line."""

    name: str
    values: Sequence[float]
    colour: Colour
    bold: bool = False


@dataclass(frozen=True, slots=True)
class LoadPoint:
    """A figure at a load, with its interval where there is one."""

    calls: int
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class LoadLine:
    """One percentile of one transport as the load grows."""

    name: str
    points: Sequence[LoadPoint]
    colour: Colour
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of a waterfall: from `start` to `end` ms; `note` stands beside it."""

    name: str
    start: float
    end: float
    colour: Colour
    note: str = ""


def cdf_svg(series: Sequence[Series], unit: str) -> str:
    """Step lines from 0 to 100 %; a legend below."""
    values = [v for s in series for v in s.values]
    if not values:
        return '<p class="note">Nothing was measured.</p>'
    top = nice_ceiling(max(values))
    x, y = Axis(0, top, LEFT, WIDTH - RIGHT), Axis(0, 1, HEIGHT - BOTTOM, TOP)
    parts = [*grid_x(ticks(top), unit, x), *grid_y([(share, f"{share:.0%}") for share in (0, 0.5, 0.95, 1)], y)]
    for one in series:
        points = [f"{x.at(0):.1f},{y.at(0):.1f}"]
        for before, value, share in _steps(one.values):
            points += [f"{x.at(value):.1f},{y.at(before):.1f}", f"{x.at(value):.1f},{y.at(share):.1f}"]
        points.append(f"{x.at(top):.1f},{y.at(1):.1f}")
        width = 3 if one.bold else 1.6
        parts.append(
            f'<polyline fill="none" stroke="{css(one.colour)}" stroke-width="{width}" points="{" ".join(points)}">'
            f"<title>{escape(one.name)}</title></polyline>"
        )
    return svg(parts, [(s.name, s.colour, False) for s in series], "Cumulative distribution of each stage")


def load_svg(lines: Sequence[LoadLine], limit: tuple[float, str] | None, unit: str) -> str:
    """Figures against the number of calls (even steps), intervals as vertical bars; `limit` as a line with its name."""
    loads = sorted({p.calls for line in lines for p in line.points})
    if not loads:
        return '<p class="note">Nothing was measured.</p>'
    highest = max([p.high or p.value for line in lines for p in line.points] + ([limit[0]] if limit else []))
    top = nice_ceiling(highest)
    step = (WIDTH - LEFT - RIGHT) / len(loads)
    place = {calls: LEFT + step * (i + 0.5) for i, calls in enumerate(loads)}
    y = Axis(0, top, HEIGHT - BOTTOM, TOP)
    parts = grid_y([(v, f"{v:.0f}") for v in ticks(top)], y)
    parts.append(f'<text class="soft" x="2" y="{HEIGHT - BOTTOM + 30}">{escape(unit)}</text>')
    for calls in loads:
        parts.append(f'<text x="{place[calls]:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{calls}</text>')
    parts.append(f'<text class="soft" x="{WIDTH / 2}" y="{HEIGHT - 4}" text-anchor="middle">calls at once</text>')
    if limit:
        at = y.at(limit[0])
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="var(--bad)"/>')
        parts.append(f'<text x="{WIDTH - RIGHT}" y="{at - 4:.1f}" text-anchor="end">{escape(limit[1])}</text>')
    for index, line in enumerate(lines):
        aside = (index - (len(lines) - 1) / 2) * min(7.0, step / (len(lines) + 1))
        parts += _load_line(line, {c: x + aside for c, x in place.items()}, y)
    return svg(parts, [(one.name, one.colour, one.dashed) for one in lines], "Latency against calls at once")


def waterfall_svg(bars: Sequence[Bar], marks: Sequence[tuple[float, str]], unit: str) -> str:
    """One row per bar on one time axis; `marks` are vertical lines with a name."""
    if not bars:
        return '<p class="note">The stack reported no stages of this turn.</p>'
    low = min(0.0, min(b.start for b in bars))
    high = nice_ceiling(max([b.end for b in bars] + [at for at, _ in marks]) * 1.12)
    height = len(bars) * _ROW + 40
    x = Axis(low, high, _LABEL, WIDTH - RIGHT)
    parts = []
    for value in [t for t in ticks(high) if t >= low]:
        at = x.at(value)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="22" y2="{height - 16}"/>')
        anchor = "end" if value == high else "middle"
        label = f"{value:.0f}{' ' + escape(unit) if value == high else ''}"
        parts.append(f'<text class="soft" x="{at:.1f}" y="{height - 2}" text-anchor="{anchor}">{label}</text>')
    for row, bar in enumerate(bars):
        top = 24 + row * _ROW
        start, end = x.at(bar.start), x.at(bar.end)
        parts.append(f'<text x="{_LABEL - 8}" y="{top + 14}" text-anchor="end">{escape(bar.name)}</text>')
        parts.append(
            f'<rect x="{start:.1f}" y="{top + 3}" width="{max(2.0, end - start):.1f}" height="{_ROW - 8}" rx="2" '
            f'fill="{css(bar.colour)}"/>'
        )
        right = end + 6 + 7 * len(bar.note) < WIDTH
        note_x, anchor = (end + 5, "start") if right else (start - 5, "end")
        parts.append(f'<text x="{note_x:.1f}" y="{top + 14}" text-anchor="{anchor}">{escape(bar.note)}</text>')
    for at_ms, name in marks:
        at = x.at(at_ms)
        anchor = "start" if at < WIDTH * 0.7 else "end"
        parts.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="16" y2="{height - 16}" stroke="var(--bad)"/>')
        parts.append(f'<text x="{at:.1f}" y="12" text-anchor="{anchor}">{escape(name)}</text>')
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="Waterfall of a turn">{"".join(parts)}</svg>'


def _steps(values: Sequence[float]) -> list[tuple[float, float, float]]:
    """(share before, value, share up to it), thinned to what can be seen; the largest value is always there."""
    n = len(values)
    kept = sorted({round(i * (n - 1) / (_MOST_STEPS - 1)) for i in range(_MOST_STEPS)}) if n > _MOST_STEPS else range(n)
    out, before = [], 0.0
    for index in kept:
        share = (index + 1) / n
        out.append((before, values[index], share))
        before = share
    return out


def _load_line(line: LoadLine, place: dict[int, float], y: Axis) -> list[str]:
    colour, dash = css(line.colour), ' stroke-dasharray="6 4"' if line.dashed else ""
    ordered = sorted(line.points, key=lambda p: p.calls)
    points = " ".join(f"{place[p.calls]:.1f},{y.at(p.value):.1f}" for p in ordered)
    parts = [f'<polyline fill="none" stroke="{colour}" stroke-width="2"{dash} points="{points}"/>']
    for p in ordered:
        x = place[p.calls]
        said = f"{line.name}, {p.calls} calls: {p.value:.0f}"
        if p.low is not None and p.high is not None:
            said += f" ({p.low:.0f} to {p.high:.0f})"
            ends = f'y1="{y.at(p.low):.1f}" y2="{y.at(p.high):.1f}"'
            parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" {ends} stroke="{colour}" stroke-width="2"/>')
        at = f'cx="{x:.1f}" cy="{y.at(p.value):.1f}"'
        parts.append(f'<circle {at} r="4" fill="{colour}"><title>{escape(said)}</title></circle>')
    return parts
