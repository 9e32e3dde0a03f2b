"""Two plots as SVG text: cumulative distributions and stacked bars. Pure; everything from outside is escaped."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_W, _H = 960, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 10, 34


@dataclass(frozen=True, slots=True)
class Series:
    """Sorted values of one line."""

    name: str
    values: Sequence[float]
    colour: str
    bold: bool = False


@dataclass(frozen=True, slots=True)
class _Axis:
    """Values from 0 to `top` on pixels from `start` to `end`."""

    top: float
    start: float
    end: float

    def at(self, value: float) -> float:
        return self.start + (self.end - self.start) * value / self.top


def _across(top: float) -> _Axis:
    return _Axis(top, _LEFT, _W - _RIGHT)


def _upward(top: float) -> _Axis:
    return _Axis(top, _H - _BOTTOM, _TOP)


def cdf_svg(series: Sequence[Series], unit: str) -> str:
    """Step lines from 0 to 100 %; a legend below."""
    values = [v for s in series for v in s.values]
    if not values:
        return "<p class=note>Nothing was measured.</p>"
    top = nice_ceiling(max(values))
    x, y = _across(top), _upward(1.0)
    parts = [*_grid_x(top, unit, x), *_grid_y([(share, f"{share:.0%}") for share in (0, 0.5, 0.95, 1)], y)]
    for one in series:
        points = [f"{x.at(0):.1f},{y.at(0):.1f}"]
        for i, value in enumerate(one.values):
            points.append(f"{x.at(value):.1f},{y.at(i / len(one.values)):.1f}")
            points.append(f"{x.at(value):.1f},{y.at((i + 1) / len(one.values)):.1f}")
        points.append(f"{x.at(top):.1f},{y.at(1):.1f}")
        width = 3 if one.bold else 1.5
        parts.append(
            f'<polyline fill="none" stroke="{one.colour}" stroke-width="{width}" points="{" ".join(points)}">'
            f"<title>{escape(one.name)}</title></polyline>"
        )
    return _svg(parts, [(s.name, s.colour) for s in series])


def stacked_svg(bars: Sequence[tuple[str, Sequence[float]]], parts_of: Sequence[tuple[str, str]], unit: str) -> str:
    """One bar per row; `parts_of` names and colours the parts, bottom first."""
    if not bars:
        return "<p class=note>The stack reported no stages of single turns.</p>"
    top = nice_ceiling(max(sum(values) for _, values in bars))
    y = _upward(top)
    step = (_W - _LEFT - _RIGHT) / len(bars)
    drawn = _grid_y([(v, f"{v:.0f}") for v in ticks(top)], y)
    for i, (label, values) in enumerate(bars):
        base = 0.0
        said = ", ".join(f"{name} {value:.0f} {unit}" for (name, _), value in zip(parts_of, values, strict=True))
        drawn.append(f"<g><title>{escape(label)}: {escape(said)}</title>")
        for (_, colour), value in zip(parts_of, values, strict=True):
            drawn.append(
                f'<rect x="{_LEFT + i * step:.1f}" y="{y.at(base + value):.1f}" width="{max(1.0, step * 0.8):.1f}" '
                f'height="{max(0.0, y.at(base) - y.at(base + value)):.1f}" fill="{colour}"/>'
            )
            base += value
        drawn.append("</g>")
    return _svg(drawn, list(parts_of))


def nice_ceiling(value: float) -> float:
    """The next round number (1, 1.5, 2, 3 … times a power of ten), at least 1."""
    if value <= 1:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((m * power for m in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if m * power >= value), value)


def ticks(top: float) -> list[float]:
    """Five gaps."""
    return [top * i / 5 for i in range(6)]


def _grid_x(top: float, unit: str, x: _Axis) -> list[str]:
    out = []
    for value in ticks(top):
        label = f"{value:.0f} {unit}"
        out.append(
            f'<line x1="{x.at(value):.1f}" x2="{x.at(value):.1f}" y1="{_TOP}" y2="{_H - _BOTTOM}" stroke="#8883"/>'
        )
        anchor = "end" if value == top else "middle"
        out.append(f'<text x="{x.at(value):.1f}" y="{_H - _BOTTOM + 16}" text-anchor="{anchor}">{escape(label)}</text>')
    return out


def _grid_y(marks: Sequence[tuple[float, str]], y: _Axis) -> list[str]:
    out = []
    for value, label in marks:
        out.append(
            f'<line x1="{_LEFT}" x2="{_W - _RIGHT}" y1="{y.at(value):.1f}" y2="{y.at(value):.1f}" stroke="#8883"/>'
        )
        out.append(f'<text x="{_LEFT - 6}" y="{y.at(value) + 4:.1f}" text-anchor="end">{escape(label)}</text>')
    return out


def _svg(parts: Sequence[str], legend: Sequence[tuple[str, str]]) -> str:
    keys, x, row = [], _LEFT, 0
    for name, colour in legend:
        width = 30 + 7 * len(name)
        if x + width > _W:
            x, row = _LEFT, row + 1
        keys.append(f'<rect x="{x}" y="{_H + 20 * row}" width="12" height="12" fill="{colour}"/>')
        keys.append(f'<text x="{x + 18}" y="{_H + 11 + 20 * row}">{escape(name)}</text>')
        x += width
    height = _H + 20 * (row + 1)
    return f'<svg viewBox="0 0 {_W} {height}" role="img">{"".join(parts)}{"".join(keys)}</svg>'


@dataclass(frozen=True, slots=True)
class Line:
    """Points (x, share from 0 to 1), joined in their order; `dots`: only marked, not joined."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: str
    bold: bool = False
    dots: bool = False


def lines_svg(lines: Sequence[Line], unit: str, marks: Sequence[tuple[float, str]], level: float) -> str:
    """A share (vertical) against a quantity in `unit`; `marks` are upright lines, `level` a level one."""
    points = [point for line in lines for point in line.points]
    if not points:
        return "<p class=note>Nothing was measured.</p>"
    top_x = nice_ceiling(max(x for x, _ in points))
    top_y = nice_ceiling(100 * max(y for _, y in points)) / 100
    across, upward = _across(top_x), _upward(top_y)
    parts = [*_grid_x(top_x, unit, across), *_grid_y([(v, f"{v:.0%}") for v in ticks(top_y)], upward)]
    dashed = 'stroke="#888" stroke-dasharray="4 4"'
    for value, label in marks:
        x = across.at(value)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_H - _BOTTOM}" {dashed}/>')
        parts.append(f'<text x="{x + 4:.1f}" y="{_TOP + 12}">{escape(label)}</text>')
    y = upward.at(level)
    parts.append(f'<line x1="{_LEFT}" x2="{_W - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" {dashed}/>')
    for line in lines:
        at = [(across.at(x), upward.at(y)) for x, y in line.points]
        if not line.dots:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
            width = 3 if line.bold else 1.5
            parts.append(f'<polyline fill="none" stroke="{line.colour}" stroke-width="{width}" points="{path}"/>')
        for (x, y), (quantity, share) in zip(at, line.points, strict=True):
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{line.colour}">'
                f"<title>{escape(line.name)}: {quantity:.0f} {escape(unit)}, {share:.1%}</title></circle>"
            )
    return _svg(parts, [(line.name, line.colour) for line in lines])
