"""Percentiles, matching and agreement."""

from hypothesis import given
from hypothesis import strategies as st

from services.cli.stats import StageSample, agreement, by_stage, distribution, matched, parse_samples


def test_percentiles_interpolate_between_order_statistics() -> None:
    got = distribution(range(1, 101))
    assert (got.n, got.p50_ms, got.p95_ms, got.p99_ms) == (100, 50.5, 95.0, 99.0)
    assert distribution([]).to_json() == {"n": 0, "p50_ms": None, "p95_ms": None, "p99_ms": None}


@given(st.lists(st.floats(0, 1e5), min_size=1))
def test_percentiles_are_ordered_and_within_the_samples(values: list[float]) -> None:
    got = distribution(values)
    assert got.p50_ms is not None
    assert got.p95_ms is not None
    assert got.p99_ms is not None
    assert min(values) - 0.1 <= got.p50_ms <= got.p95_ms <= got.p99_ms <= max(values) + 0.1


def sample(call: str, stage: str, ms: float, at_ms: int) -> StageSample:
    return StageSample(call, 1, stage, ms, at_ms * 1_000_000)


def test_rows_of_unknown_shape_are_left_out() -> None:
    good = {"call_id": "c", "turn": 1, "stage": "endpoint", "ms": 5, "at_ns": 7}
    assert parse_samples([good, {"stage": "x"}, {**good, "ms": "fast"}]) == [StageSample("c", 1, "endpoint", 5.0, 7)]


def test_stages_come_in_the_order_a_turn_passes_them_and_others_after() -> None:
    got = by_stage([sample("c", "handoff", 1, 0), sample("c", "playout", 2, 0), sample("c", "endpoint", 3, 0)])
    assert list(got) == ["endpoint", "playout", "handoff"]


def test_each_reported_turn_is_matched_once_with_the_nearest_heard_one() -> None:
    reported = [
        sample("a", "voice_to_voice", 700, 1000),
        sample("a", "voice_to_voice", 900, 5000),
        sample("b", "voice_to_voice", 800, 1010),
        sample("a", "endpoint", 300, 1000),
    ]
    heard = [("a", 1_015_000_000, 712.0), ("b", 1_018_000_000, 815.0), ("a", 9_000_000_000, 500.0)]
    assert matched(heard, reported) == [(712.0, 700.0), (815.0, 800.0)]


def test_agreement_counts_the_share_within_the_bound() -> None:
    got = agreement([(712.0, 700.0), (790.0, 800.0), (900.0, 800.0)], within_ms=20)
    assert got["n"] == 3
    assert got["share_within"] == 0.667
    assert got["median_ms"] == 12.0
    assert agreement([], 20)["share_within"] is None
