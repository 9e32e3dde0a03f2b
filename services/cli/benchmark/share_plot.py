"""A share against a quantity: curves of systems that trade one for the other, as SVG text. Pure."""

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

_DASHED = 'stroke="#888" stroke-dasharray="4 4"'


@dataclass(frozen=True, slots=True)
class Line:
    """Points (x, share from 0 to 1), joined in their order; `dots`: only marked, not joined."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: Colour
    bold: bool = False
    dots: bool = False


def lines_svg(lines: Sequence[Line], unit: str, marks: Sequence[tuple[float, str]], level: float) -> str:
    """A share (vertical) against a quantity in `unit`; `marks` are upright lines, `level` a level one."""
    points = [point for line in lines for point in line.points]
    if not points:
        return '<p class="note">Nothing was measured.</p>'
    top_x = nice_ceiling(max(x for x, _ in points))
    top_y = nice_ceiling(100 * max(y for _, y in points)) / 100
    across, upward = Axis(0, top_x, LEFT, WIDTH - RIGHT), Axis(0, top_y, HEIGHT - BOTTOM, TOP)
    shares = [top_y * i / 5 for i in range(6)]
    parts = [*grid_x(ticks(top_x), unit, across), *grid_y([(v, f"{v:.0%}") for v in shares], upward)]
    for value, label in marks:
        x = across.at(value)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" {_DASHED}/>')
        parts.append(f'<text x="{x + 4:.1f}" y="{TOP + 12}">{escape(label)}</text>')
    y = upward.at(level)
    parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" {_DASHED}/>')
    for line in lines:
        parts += _line(line, [(across.at(x), upward.at(y)) for x, y in line.points], unit)
    return svg(parts, [(line.name, line.colour, False) for line in lines], "A share against what it costs")


def _line(line: Line, at: Sequence[tuple[float, float]], unit: str) -> list[str]:
    parts = []
    if not line.dots:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
        width = 3 if line.bold else 1.5
        parts.append(f'<polyline fill="none" stroke="{css(line.colour)}" stroke-width="{width}" points="{path}"/>')
    for (x, y), (quantity, share) in zip(at, line.points, strict=True):
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{css(line.colour)}">'
            f"<title>{escape(line.name)}: {quantity:.0f} {escape(unit)}, {share:.1%}</title></circle>"
        )
    return parts
