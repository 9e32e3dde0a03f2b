"""Intervals hold the truth about as often as they say, resample whole calls, and never change with the same seed."""

import numpy as np
import pytest

from services.cli.benchmark.bootstrap import (
    LEAST_N,
    mean_difference,
    percentile_differences,
    percentile_intervals,
)

TRIALS = 80


def calls(rng: np.random.Generator, count: int, turns: int, of_call: float = 0.0, shift: float = 0.0) -> list:
    """Log-normal turns around 500 ms; `of_call` is the spread that the turns of one call share."""
    shared = rng.normal(0, of_call, count)
    return [list(500 * np.exp(rng.normal(0, 0.2, turns) + shared[i]) + shift) for i in range(count)]


@pytest.mark.parametrize(("count", "turns", "of_call"), [(1, 200, 0.0), (4, 50, 0.02), (16, 12, 0.1)])
def test_the_interval_of_the_median_holds_the_truth_about_as_often_as_it_says(count, turns, of_call) -> None:
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(TRIALS):
        (interval,) = percentile_intervals(calls(rng, count, turns, of_call), [50])
        assert interval is not None
        held += interval.low <= 500 <= interval.high
    assert 0.85 <= held / TRIALS <= 1.0


def test_turns_of_one_call_that_are_alike_make_the_interval_wider_than_turns_alone_would() -> None:
    rng = np.random.default_rng(6)
    groups = calls(rng, 12, 20, of_call=0.3)
    (by_call,) = percentile_intervals(groups, [50])
    (by_turn,) = percentile_intervals([[v for g in groups for v in g]], [50])
    assert by_call is not None
    assert by_turn is not None
    assert by_call.high - by_call.low > 2 * (by_turn.high - by_turn.low)


def test_a_planted_shift_is_outside_zero_and_no_shift_is_inside() -> None:
    rng = np.random.default_rng(7)
    a, same, later = (calls(rng, 4, 60, shift=s) for s in (0, 0, 100))
    shifted = percentile_differences(a, later, [50, 95])
    alike = percentile_differences(a, same, [50, 95])
    assert [i is not None and i.excludes(0) for i in shifted] == [True, True]
    assert [i is not None and i.excludes(0) for i in alike] == [False, False]
    assert shifted[0] is not None
    assert shifted[0].low < 100 < shifted[0].high


def test_a_share_that_rose_is_found() -> None:
    rose = mean_difference([[0.0] * 98 + [1.0] * 2], [[0.0] * 70 + [1.0] * 30])
    assert rose is not None
    assert rose.low > 0.1


def test_the_same_values_give_the_same_interval_and_too_few_give_none() -> None:
    groups = calls(np.random.default_rng(8), 3, 10)
    assert percentile_intervals(groups, [50, 95, 99]) == percentile_intervals(groups, [50, 95, 99])
    assert percentile_intervals([[1.0] * (LEAST_N - 1)], [50]) == [None]
    assert percentile_intervals([], [50]) == [None]


def test_weighted_percentiles_are_those_of_the_values_written_out() -> None:
    from services.cli.benchmark.bootstrap import _percentiles

    values, weights = np.array([5.0, 1.0, 3.0, 9.0]), np.array([[0, 2, 1, 3], [1, 1, 1, 1]])
    for row, drawn in zip(_percentiles(values, weights, [50, 95]), weights, strict=True):
        assert row == pytest.approx(np.percentile(np.repeat(values, drawn), (50, 95)))
