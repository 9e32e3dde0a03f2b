"""Density: what is counted as the path of a call, and when a number of calls keeps the promise."""

from typing import Any

import pytest

from benchmarks.density import judge, summary


def cell(p95_ms: float | None, dropped: int = 0) -> dict[str, Any]:
    costs = {
        "vad": 0.3,
        "orchestrator": 0.5,
        "telephony": 0.25,
        "caller (telephony)": 9.0,
        "caller (this command)": 1.0,
    }
    return {
        "processes": {name: {"cpu_s_per_call_minute": cost, "rss_mb": 1} for name, cost in costs.items()},
        "overhead": None if p95_ms is None else {"n": 9, "p50_ms": 20.0, "p95_ms": p95_ms},
        "dropped_frames": dropped,
        "outcomes": {"answered": 9},
    }


def test_the_path_of_a_sip_call_is_orchestrator_and_telephony_and_never_the_caller() -> None:
    row = judge("sip", 10, cell(30.0))
    assert row["path_cpu_s_per_call_minute"] == pytest.approx(0.75)
    assert row["calls_per_core_by_cpu"] == 80
    assert row["stack_cpu_s_per_call_minute"] == pytest.approx(1.05)
    assert judge("webrtc", 10, cell(30.0))["calls_per_core_by_cpu"] == 120


@pytest.mark.parametrize(
    ("p95_ms", "dropped", "kept"), [(40.0, 0, True), (40.1, 0, False), (20.0, 1, False), (None, 0, False)]
)
def test_the_promise_is_overhead_and_no_dropped_frame(p95_ms: float | None, dropped: int, kept: bool) -> None:
    assert judge("sip", 10, cell(p95_ms, dropped))["kept"] is kept


def test_the_summary_tells_cost_at_the_largest_number_and_latency_at_the_largest_kept() -> None:
    rows = [judge("sip", 4, cell(20.0)), judge("sip", 8, cell(35.0)), judge("sip", 16, cell(90.0))]
    answers = summary("sip", rows, 2)
    assert answers["measured_at_calls"] == 16
    assert answers["most_calls_within_promise"] == 8
    assert answers["calls_per_core_by_latency"] == 4
