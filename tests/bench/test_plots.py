"""The plots are well-formed SVG and show what they are given."""

import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from services.cli.benchmark.plots import (
    Bar,
    LoadLine,
    LoadPoint,
    Series,
    cdf_svg,
    load_svg,
    nice_ceiling,
    ticks,
    waterfall_svg,
)


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=50))
def test_every_value_of_a_distribution_is_within_the_plot(values: list[float]) -> None:
    svg = ET.fromstring(cdf_svg([Series("a & b", sorted(values), 0)], "ms"))
    points = next(e for e in svg.iter() if e.tag.endswith("polyline")).get("points")
    assert points is not None
    for pair in points.split():
        x, y = (float(v) for v in pair.split(","))
        assert 0 <= x <= 961
        assert 0 <= y <= 321


def test_a_bar_lies_where_its_stage_was_and_is_as_long() -> None:
    svg = ET.fromstring(waterfall_svg([Bar("a & b", 0, 300, 0), Bar("c", 300, 400, 1)], [(400, "heard")], "ms"))
    bars = [e for e in svg.iter() if e.tag.endswith("rect")]
    (x0, w0), (x1, w1) = [(float(b.get("x", 0)), float(b.get("width", 0))) for b in bars]
    assert abs(w0 / w1 - 3) < 0.02
    assert abs(x0 + w0 - x1) < 0.2


def test_an_interval_is_drawn_around_its_figure_and_loads_stand_in_order() -> None:
    points = [LoadPoint(16, 500, 480, 540), LoadPoint(1, 400)]
    svg = ET.fromstring(load_svg([LoadLine("SIP P95", points, 0, True)], (800, "target"), "ms"))
    dots = [(float(e.get("cx", 0)), float(e.get("cy", 0))) for e in svg.iter() if e.tag.endswith("circle")]
    assert dots[0][0] < dots[1][0]
    (bar,) = [e for e in svg.iter() if e.tag == "line" and e.get("stroke-width") == "2"]
    assert float(bar.get("y2", 0)) < dots[1][1] < float(bar.get("y1", 0))


@given(st.floats(1, 1e6))
def test_the_axis_ends_at_a_round_number_above_the_largest_value(value: float) -> None:
    top = nice_ceiling(value)
    assert value <= top <= 2.1 * value
    assert ticks(top)[-1] == top
