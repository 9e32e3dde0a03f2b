"""The plots are well-formed SVG and show what they are given."""

import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from services.cli.plots import Series, cdf_svg, nice_ceiling, stacked_svg, ticks


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=50))
def test_every_value_of_a_distribution_is_within_the_plot(values: list[float]) -> None:
    svg = ET.fromstring(cdf_svg([Series("a & b", sorted(values), "#000")], "ms"))
    points = next(e for e in svg.iter() if e.tag.endswith("polyline")).get("points")
    assert points is not None
    for pair in points.split():
        x, y = (float(v) for v in pair.split(","))
        assert 0 <= x <= 961
        assert 0 <= y <= 321


def test_bars_are_as_high_as_their_parts_together() -> None:
    svg = ET.fromstring(stacked_svg([("t1", [300, 100])], [("a", "#111"), ("b", "#222")], "ms"))
    bars = [e for e in svg.iter() if e.tag.endswith("rect") and e.get("height") != "12"]
    heights = [float(b.get("height", 0)) for b in bars]
    assert abs(heights[0] / heights[1] - 3) < 0.02


@given(st.floats(1, 1e6))
def test_the_axis_ends_at_a_round_number_above_the_largest_value(value: float) -> None:
    top = nice_ceiling(value)
    assert value <= top <= 2.1 * value
    assert ticks(top)[-1] == top
