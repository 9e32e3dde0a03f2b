"""The benchmark document: pure arithmetic on what was heard and reported."""

import pytest

from services.cli.benchmark.cell_run import start_times_s
from services.cli.benchmark.request import BenchRequest, parse_calls, parse_transports
from services.cli.benchmark.result import BenchData, CallResult, cell_result, overhead
from services.cli.benchmark.scripts import parse_scripts
from services.cli.declared import declared, is_scripted
from services.cli.stack import SCRIPTED, Launch
from services.common.errors import InvalidInputError
from tests.bench.documents import MS, USE, about, planted_cell, sample, turn


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
    document = cell_result(some_data(), about(), USE)
    v2v = document["stages"]["voice_to_voice"]
    assert (v2v["n"], v2v["p50_ms"], v2v["p95_ms"], v2v["p99_ms"]) == (2, 460.0, 469.0, 469.8)
    assert document["stages"]["barge_in_stop"]["p50_ms"] == 180.0
    assert document["stages"]["endpoint"]["n"] == 1
    assert document["stages_reported"]["barge_in_stop"]["p50_ms"] == 200.0
    assert document["dropped_frames"] == 2
    assert document["outcomes"] == {"answered": 2, "unanswered": 1}
    assert document["calls"] == {"started": 2, "refused": 0, "failed": 1, "minutes": 1.5, "errors": ["busy"]}


def test_heard_and_reported_are_compared_turn_by_turn() -> None:
    document = cell_result(some_data(), about(), {})
    agree = document["agreement"]["voice_to_voice"]
    assert (agree["n"], agree["median_ms"], agree["share_within"]) == (2, 7.5, 1.0)
    assert document["turns"][0]["reported"] == {"endpoint": 300, "voice_to_voice": 440}


def test_overhead_is_what_is_left_after_the_declared_path_and_only_with_scripted_models() -> None:
    settings = Launch.load(None, "cpu", SCRIPTED).settings
    assert is_scripted(settings)
    assert not is_scripted(Launch.load(None, "cpu", SCRIPTED[:3]).settings)
    path = declared(settings, 1)
    # 128 pause + 50 asr + 100 llm + 50 tts is longer than the 300 ms endpoint.
    assert path.total_ms == 328
    over = overhead({1: [368.0, 388.0]}, path)
    assert over is not None
    assert over["p50_ms"] == 50.0
    assert overhead({1: [440.0]}, None) is None


def test_a_long_endpoint_wait_hides_the_reply() -> None:
    pairs = [*SCRIPTED, "orchestrator.turns.endpoint_complete_ms=600"]
    assert declared(Launch.load(None, "cpu", pairs).settings, 1).total_ms == 600


def test_start_times_are_fixed_by_the_seed_and_do_not_depend_on_the_calls() -> None:
    assert start_times_s(25, 7) == start_times_s(25, 7)
    assert start_times_s(25, 7) != start_times_s(25, 8)
    assert start_times_s(25, 7) == sorted(start_times_s(25, 7))
    assert max(start_times_s(25, 7)) <= 10.0
    assert start_times_s(1, 7) == [0.0]


def request(tmp_path, **changes) -> BenchRequest:
    return BenchRequest(**{"transports": ("sip",), "calls": (1,), "out": tmp_path / "x.json", **changes})


def test_a_benchmark_of_nothing_is_refused(tmp_path) -> None:
    with pytest.raises(InvalidInputError, match="--calls"):
        request(tmp_path, calls=(0, 1)).check()
    with pytest.raises(InvalidInputError, match="--out"):
        request(tmp_path, out=tmp_path / "no" / "x.json").check()
    with pytest.raises(InvalidInputError, match="--loss"):
        request(tmp_path, loss_percent=100.0).check()
    for parse, text in ((parse_calls, "a"), (parse_calls, ""), (parse_transports, "fax"), (parse_scripts, "opera")):
        with pytest.raises(InvalidInputError):
            parse(text)


def test_a_sweep_has_a_cell_for_each_combination_with_enough_turns_in_each(tmp_path) -> None:
    asked = request(tmp_path, transports=("sip", "webrtc"), calls=(64, 1, 8), turns_per_cell=200)
    cells = list(asked.cells())
    assert [(c.transport, c.calls, c.turns) for c in cells][:3] == [("sip", 1, 200), ("sip", 8, 25), ("sip", 64, 4)]
    assert len(cells) == 6
    assert request(tmp_path, calls=(100,), turns_per_cell=24).turns_of(100) == 3
    assert request(tmp_path, turns=7).turns_of(1) == 7
    assert list(parse_scripts("all"))[:2] == ["plain", "pauses"]


def test_stages_of_a_turn_are_placed_around_the_end_of_the_callers_speech() -> None:
    cell = planted_cell(calls=1, turns=2)
    row = cell["turns"][0]
    start, end = row["timeline"]["playout"]
    assert end == pytest.approx(row["voice_to_voice_ms"] - 20, abs=0.2)
    assert end - start == pytest.approx(row["reported"]["playout"], abs=0.2)
    assert row["speech_ms"] == 2000


def test_every_percentile_has_its_interval_around_it() -> None:
    for row in planted_cell()["stages"].values():
        for percent in ("p50", "p95", "p99"):
            low, high = row[f"{percent}_ci_ms"]
            assert low <= row[f"{percent}_ms"] <= high
