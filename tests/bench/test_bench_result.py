"""The benchmark document: pure arithmetic on what was heard and reported."""

import json

import pytest

from services.cli.bench import BenchRequest, start_times_s, tables
from services.cli.bench_result import BenchData, CallResult, overhead, result
from services.cli.declared import declared, is_scripted
from services.cli.measure import TurnHeard
from services.cli.report import render
from services.cli.stack import SCRIPTED, Launch
from services.cli.stats import StageSample
from services.common.errors import InvalidInputError

MS = 1_000_000
FACTS = {
    "benchmark": "trunkline-voice-to-voice/1",
    "when": "2026-11-22T12:00:00+00:00",
    "commit": "0.1.0 abc",
    "profile": "cpu",
    "scripted": True,
    "request": {
        "transport": "sip",
        "calls": 2,
        "turns": 3,
        "seed": 1,
        "warmup": 1,
        "barge_in_every": 5,
        "interrupt_after_ms": 900,
    },
    "machine": {"cpu": "<b>CPU</b>", "cores": 2, "memory_gb": 8.0, "gpu": "none"},
    "models": {"asr": {"engine": "scripted", "models": [{"name": "scripted"}], "device": "none"}},
}


def turn(number: int, v2v: float | None, at_ms: int = 0, stop: float | None = None, outcome="answered") -> TurnHeard:
    answer = at_ms * MS if v2v is not None else None
    return TurnHeard(number, stop is not None, outcome, 0, 0, answer, v2v, stop)


def sample(call: str, number: int, stage: str, ms: float, at_ms: int) -> StageSample:
    return StageSample(call, number, stage, ms, at_ms * MS)


def some_data() -> BenchData:
    one = CallResult(1, 0, 60_000 * MS, "a", "pcmu", turns=[turn(1, 450, 2000), turn(2, 470, 9000, stop=180)])
    two = CallResult(2, 0, 30_000 * MS, "b", "pcmu", error="busy", turns=[turn(1, None, outcome="unanswered")])
    two.dropped_frames = 2
    samples = [
        sample("a", 1, "endpoint", 300, 1800),
        sample("a", 1, "voice_to_voice", 440, 1990),
        sample("a", 2, "voice_to_voice", 465, 8995),
        sample("a", 2, "barge_in_stop", 200, 8000),
    ]
    return BenchData([one, two], samples, declared(Launch.load(None, "cpu", SCRIPTED).settings, 1))


def test_voice_to_voice_and_stop_are_what_was_heard_and_other_stages_what_was_reported() -> None:
    document = result(some_data(), FACTS, {"vad": {"cpu_s_per_call_minute": 1.0, "cpu_s": 1.5, "rss_mb": 100.0}})
    assert document["stages"]["voice_to_voice"] == {"n": 2, "p50_ms": 460.0, "p95_ms": 469.0, "p99_ms": 469.8}
    assert document["stages"]["barge_in_stop"]["p50_ms"] == 180.0
    assert document["stages"]["endpoint"]["n"] == 1
    assert document["stages_reported"]["barge_in_stop"]["p50_ms"] == 200.0
    assert document["dropped_frames"] == 2
    assert document["outcomes"] == {"answered": 2, "unanswered": 1}
    assert document["calls"] == {"started": 2, "failed": 1, "minutes": 1.5, "errors": ["busy"]}


def test_heard_and_reported_are_compared_turn_by_turn() -> None:
    document = result(some_data(), FACTS, {})
    agree = document["agreement"]["voice_to_voice"]
    assert (agree["n"], agree["median_ms"], agree["share_within"]) == (2, 7.5, 1.0)
    assert document["turns"][0]["reported"] == {"endpoint": 300, "voice_to_voice": 440}


def test_overhead_is_what_is_left_after_the_declared_path_and_only_with_scripted_models() -> None:
    settings = Launch.load(None, "cpu", SCRIPTED).settings
    assert is_scripted(settings)
    assert not is_scripted(Launch.load(None, "cpu", SCRIPTED[:3]).settings)
    path = declared(settings, 1)
    # 200 pause + 50 asr + 100 llm + 50 tts is longer than the 300 ms endpoint.
    assert path.total_ms == 400
    assert overhead([440.0, 460.0], path) is not None
    assert overhead([440.0, 460.0], path)["p50_ms"] == 50.0
    assert overhead([440.0], None) is None


def test_a_long_endpoint_wait_hides_the_reply() -> None:
    pairs = [*SCRIPTED, "orchestrator.turns.endpoint_complete_ms=600"]
    assert declared(Launch.load(None, "cpu", pairs).settings, 1).total_ms == 600


def test_the_document_is_json_and_a_page_without_scripts_or_foreign_assets() -> None:
    document = json.loads(json.dumps(result(some_data(), FACTS, {})))
    page = render(document)
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "&lt;b&gt;CPU&lt;/b&gt;" in page
    assert page.count("<svg") == 2
    assert "voice to voice P95" in page
    assert tables(document)


def test_a_page_can_be_made_when_nothing_was_measured() -> None:
    page = render(result(BenchData([], [], None), FACTS, {}))
    assert "Nothing was measured" in page


def test_start_times_are_fixed_by_the_seed_and_do_not_depend_on_the_calls() -> None:
    assert start_times_s(25, 7) == start_times_s(25, 7)
    assert start_times_s(25, 7) != start_times_s(25, 8)
    assert start_times_s(25, 7) == sorted(start_times_s(25, 7))
    assert max(start_times_s(25, 7)) <= 10.0
    assert start_times_s(1, 7) == [0.0]


def test_a_benchmark_of_nothing_is_refused(tmp_path) -> None:
    with pytest.raises(InvalidInputError, match="--calls"):
        BenchRequest("sip", 0, 1, tmp_path / "x.json").check()
    with pytest.raises(InvalidInputError, match="--out"):
        BenchRequest("sip", 1, 1, tmp_path / "no" / "x.json").check()
