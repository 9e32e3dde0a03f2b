"""Figures, operating points, baselines and replay of the turn-taking set: pure, answers written by hand."""

from pathlib import Path

import numpy as np
import pytest

from services.cli.turnset import baselines, figures
from services.cli.turnset.baselines import Silence
from services.cli.turnset.curve import Curve
from services.cli.turnset.figures import Turn, barge_figures, score_barge, score_turn
from services.cli.turnset.hearing import Hearing, hear
from services.cli.turnset.measuring import figures_document
from services.cli.turnset.outputs import Ask, MissingOutputError, Outputs
from services.cli.turnset.page import render as render_page
from services.cli.turnset.recipe import Item, Part
from services.cli.turnset.render import Hold, Rendered, Truth, render
from services.cli.turnset.replay import Replay, Step
from services.cli.turnset.systems import (
    Entry,
    Result,
    listen,
    replay,
    run_turn_model,
    run_turn_taker,
    run_vad_timeout,
    shifted,
    system_figures,
)
from services.common.settings import TurnSettings
from tests.bench.test_turnset_set import item, silent, tone

TRUTH = Truth(600, 3000, (Hold("clause", 1000, 1600), Hold("clause", 2000, 2500)))
MODELS = {"vad": "v", "turn": "t", "text": "a"}


def ends(*at_ms: float) -> list[Step]:
    return [Step(at, "end") for at in at_ms]


def test_an_end_in_a_pause_cuts_that_pause_off() -> None:
    assert score_turn(TRUTH, ends(1300, 3400)) == Turn((True, False), 400)
    assert score_turn(TRUTH, ends(1700, 2200, 3400)) == Turn((True, True), 400)
    assert score_turn(TRUTH, ends(3250)) == Turn((False, False), 250)
    assert score_turn(TRUTH, []) == Turn((False, False), None)
    assert score_turn(TRUTH, ends(900, 3100)) == Turn((False, False), 100, elsewhere=1)


def test_an_unclear_turn_is_an_end_and_a_discarded_one_is_none() -> None:
    assert score_turn(TRUTH, [Step(1200, "unclear"), Step(3300, "discard")]) == Turn((True, False), None)


def test_operating_points_are_read_off_between_settings() -> None:
    rows = [[Turn((k < 2,), wait)] * 4 + [Turn((k < 1,), wait)] * 4 for k, wait in enumerate((200, 400, 600))]
    curve = Curve(["a", "b", "c"], rows)
    waits, cut = curve.points()
    assert waits.tolist() == [200, 400, 600]
    assert cut.tolist() == [1.0, 0.5, 0.0]
    assert curve.cutoffs_at_wait(300)["value"] == pytest.approx(0.75)
    assert curve.wait_at_cutoffs(0.05)["value"] == pytest.approx(580)


def test_an_operating_point_that_no_setting_reaches_is_not_invented() -> None:
    curve = Curve(["a"], [[Turn((True,), 350.0)] * 5])
    assert curve.cutoffs_at_wait(300)["value"] is None
    assert curve.wait_at_cutoffs(0.05)["value"] is None


def test_settings_that_another_beats_in_both_do_not_count() -> None:
    curve = Curve([1, 2, 3], [[Turn((False,), 250)], [Turn((True,), 280)], [Turn((False,), 500)]])
    assert curve.cutoffs_at_wait(300)["value"] == 0.0


def test_intervals_hold_the_value_and_shrink_with_n() -> None:
    chance = np.random.default_rng(1)
    few = figures.share(chance.integers(0, 2, 30).astype(float), np.ones(30))
    many = figures.share(chance.integers(0, 2, 3000).astype(float), np.ones(3000))
    for figure in (few, many):
        assert figure["ci95"][0] <= figure["value"] <= figure["ci95"][1]
    assert many["ci95"][1] - many["ci95"][0] < few["ci95"][1] - few["ci95"][0]


def test_a_turn_that_never_ends_is_counted_and_waits_longest() -> None:
    figure = figures.turns_at_defaults([Turn((), None), Turn((), 300.0), Turn((True, False), 320.0)])
    assert figure["never_ended"] == 1
    assert figure["wait_p95_ms"]["value"] > 3000
    assert figure["false_cutoff"]["value"] == 0.5


SOUND = Truth(1000, 1400)


def test_going_on_once_and_soon_is_right() -> None:
    right = score_barge(SOUND, [Step(1100, "pause"), Step(1700, "resume", "no words")])
    assert (right.pause_ms, right.resume_ms, right.stop_ms, right.resumed_right) == (100, 700, None, True)
    assert score_barge(SOUND, []).resumed_right
    assert not score_barge(SOUND, [Step(1100, "pause")]).resumed_right
    assert not score_barge(SOUND, [Step(1100, "pause"), Step(3200, "resume")]).resumed_right
    assert not score_barge(SOUND, [Step(1100, "pause"), Step(1500, "stop")]).resumed_right


def test_false_and_missed_barge_ins_are_rates_over_their_own_kinds() -> None:
    quiet = score_barge(SOUND, [])
    stopped = score_barge(SOUND, [Step(1080, "pause"), Step(1500, "stop")])
    figure = barge_figures({"cough": [quiet, stopped], "echo": [quiet, quiet], "interruption": [stopped, quiet]})
    assert figure["false_barge_in_resumed"]["value"] == 0.75
    assert figure["missed_barge_in"]["value"] == 0.5
    assert figure["barge_in_pause_ms"] == {"n": 1, "p50": 80.0, "p95": 80.0}
    assert figure["resumed_by_kind"]["cough"]["value"] == 0.5


def test_a_resume_before_the_stop_is_the_first_decision_and_one_before_the_onset_is_none() -> None:
    steps = [Step(900, "pause"), Step(950, "resume"), Step(1100, "pause"), Step(1450, "resume"), Step(1900, "stop")]
    barge = score_barge(SOUND, steps)
    assert (barge.decided_ms, barge.stop_ms) == (450, 900)
    figure = barge_figures({"interruption": [barge, score_barge(SOUND, [])]})
    assert figure["barge_in_decided_in_time"]["value"] == 0.5
    assert figure["barge_in_stopped_in_time"]["value"] == 0.0
    assert figure["barge_in_first_stopped"]["value"] == 0.0
    assert figure["barge_in_talked_over_ms"] == {"n": 1, "p50": 450.0, "p95": 450.0}


def test_every_pause_over_a_sound_that_was_nothing_is_measured() -> None:
    steps = [Step(1100, "pause"), Step(1500, "resume"), Step(1700, "pause"), Step(2300, "resume")]
    figure = barge_figures({"laugh": [score_barge(SOUND, steps), score_barge(SOUND, [])]})
    assert figure["false_pause_each_ms"] == {"n": 2, "p50": 500.0, "p95": 590.0}
    assert figure["false_pause_in_time"]["value"] == 0.5


def test_the_timeout_ends_every_silence_that_lasts() -> None:
    quiet = [Silence(1000, 1400), Silence(2000, None)]
    assert [round(s.at_ms) for s in baselines.vad_timeout(quiet, 300)] == [1303, 2303]
    assert [round(s.at_ms) for s in baselines.vad_timeout(quiet, 500)] == [2503]


def by_level(heard: Hearing) -> list[float]:
    """A voice detector for these tests: loud is speech."""
    return [0.95 if max(frame.levels_db) > -45 else 0.02 for frame in heard.frames]


def heard_item(pause_ms: int = 700) -> Hearing:
    return hear(render(item(pause_ms=pause_ms), [tone(800), tone(800)][: 2 if pause_ms else 1], []))


def test_silences_are_found_between_speech_and_after_it() -> None:
    heard = heard_item()
    first_ms, quiet = baselines.silences(heard, by_level(heard))
    assert first_ms == pytest.approx(600, abs=40)
    assert len(quiet) == 2
    assert quiet[0].start_ms == pytest.approx(heard.truth.holds[0].start_ms, abs=130)
    assert quiet[1].end_ms is None


class Answering(Outputs):
    """Answers for tests of the replay: the turn is complete only at its true end."""

    def __init__(self, folder: Path, heard: Hearing, text: str = "Go somewhere.") -> None:
        super().__init__(folder / "answers.jsonl", dict(MODELS))  # type: ignore[arg-type]
        self.asked: list[Ask] = []
        self._heard, self._text = heard, text

    def get(self, ask: Ask) -> object:
        self.asked.append(ask)
        if ask.kind == "vad":
            return by_level(self._heard)
        done = ask.end / 16 > self._heard.truth.end_ms
        if ask.kind == "turn":
            return 0.99 if done else 0.01
        text = self._text if done or not self._text else "I would like to"
        return {
            "text": text, "avg_logprob": -0.1, "no_speech_prob": 0.0, "language": "en", "language_probability": 1.0,
            "ending": None,
        }  # fmt: skip


def test_the_replay_drives_the_real_turn_taker_over_a_pause_to_the_true_end(tmp_path: Path) -> None:
    heard = heard_item(700)
    outputs = Answering(tmp_path, heard)
    steps = replay(Entry(item(), heard), outputs, TurnSettings())
    turn = score_turn(heard.truth, steps)
    assert turn.cut == (False,)
    assert turn.wait_ms == pytest.approx(300, abs=120)
    # The recogniser gets the utterance from its pre-roll to the dip, the turn model at most 8 s up to the same sample.
    texts = [ask for ask in outputs.asked if ask.kind == "text"]
    assert texts[0].start < heard.truth.onset_ms * 16 < texts[0].end


def test_a_replay_asks_for_what_is_missing_and_the_same_way_again(tmp_path: Path) -> None:
    heard = heard_item()
    outputs = Outputs(tmp_path / "answers.jsonl", dict(MODELS))  # type: ignore[arg-type]
    with pytest.raises(MissingOutputError) as first:
        Replay(item(), heard, outputs, TurnSettings()).run()
    assert first.value.ask == Ask("vad", heard.sha)
    outputs.put(first.value.ask, by_level(heard))
    with pytest.raises(MissingOutputError) as second:
        Replay(item(), heard, outputs, TurnSettings()).run()
    assert second.value.ask.kind in ("turn", "text")
    again = Outputs(tmp_path / "answers.jsonl", dict(MODELS))  # type: ignore[arg-type]
    with pytest.raises(MissingOutputError) as third:
        Replay(item(), heard, again, TurnSettings()).run()
    assert third.value.ask == second.value.ask


def test_answers_survive_a_torn_last_row(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    outputs = Outputs(path, dict(MODELS))  # type: ignore[arg-type]
    outputs.put(Ask("turn", "x", 0, 5), 0.25)
    with path.open("a") as stream:
        stream.write('["turn t x 0 6", 0.')
    again = Outputs(path, dict(MODELS))  # type: ignore[arg-type]
    assert again.get(Ask("turn", "x", 0, 5)) == 0.25
    assert not again.has(Ask("turn", "x", 0, 6))
    other = Outputs(path, {"vad": "v", "turn": "another model", "text": "a"})
    assert not other.has(Ask("turn", "x", 0, 5))


def test_shifting_moves_every_wait_later(tmp_path: Path) -> None:
    heard = heard_item(0)
    entry = Entry(item(pause_ms=0), heard)
    outputs = Answering(tmp_path, heard)
    waits = [
        score_turn(heard.truth, replay(entry, outputs, shifted(TurnSettings(), shift))).wait_ms for shift in (0, 200)
    ]
    assert waits[0] is not None
    assert waits[1] == pytest.approx(waits[0] + 200, abs=40)


def test_a_dip_waits_for_the_words_that_were_asked_for_before_it(tmp_path: Path) -> None:
    sound = np.concatenate((silent(1000), tone(300), silent(3400))).astype(np.int16)
    heard = hear(Rendered(sound, 16_000, Truth(1000, 1300)))
    stop = Item("x", "tuning", "interruption", (Part("Stop."),), "joe", 1, agent_text="We are open from nine to five.")
    outputs = Answering(tmp_path, heard, text="Stop.")
    steps = {step.what: step.at_ms for step in replay(Entry(stop, heard), outputs, TurnSettings())}
    asked, dip = [ask.end / 16 for ask in outputs.asked if ask.kind == "text"][:2]
    assert asked < steps["dip"]
    assert dip >= asked + 80


def test_a_cough_without_words_gives_the_floor_back(tmp_path: Path) -> None:
    sound = np.concatenate((silent(1000), tone(250), silent(3400))).astype(np.int16)
    heard = hear(Rendered(sound, 16_000, Truth(1000, 1250)))
    cough = Item("x", "tuning", "cough", (Part(""),), "joe", 1, agent_text="We are open from nine to five.")
    outputs = Answering(tmp_path, heard, text="")
    steps = replay(Entry(cough, heard), outputs, TurnSettings())
    assert [s.what for s in steps if s.what in ("pause", "resume", "stop")] == ["pause", "resume"]


def test_every_system_reports_the_same_figures() -> None:
    rows = [[Turn((True,), 250.0)], [Turn((False,), 350.0)]]
    result = Result(rows[1], Curve([1, 2], rows), {"cough": [score_barge(SOUND, [])]}, "knob", 2)
    figure = system_figures(result)
    assert figure["false_cutoff_at_300ms"]["value"] == pytest.approx(0.5)
    assert figure["false_barge_in_resumed"]["value"] == 1.0
    assert figure["missed_barge_in"]["value"] is None
    assert len(figure["curve"]) == 2


REQUIRED = (
    "false_cutoff_at_300ms",
    "wait_p50_ms",
    "wait_p95_ms",
    "wait_at_5pct_cutoffs_ms",
    "false_barge_in_resumed",
    "missed_barge_in",
)


def test_the_document_has_every_figure_for_all_three_systems_and_becomes_a_page(tmp_path: Path) -> None:
    heard = heard_item(700)
    outputs = Answering(tmp_path, heard)
    sound = Item("y", "tuning", "interruption", (Part("Stop."),), "joe", 1, agent_text="We are open.")
    entries = [Entry(item(), heard), Entry(sound, heard)]
    listen(entries, outputs)
    results = {
        "trunkline": run_turn_taker(entries, outputs, TurnSettings(), (0, 200)),
        "vad_timeout": run_vad_timeout(entries),
        "predict_turn": run_turn_model(entries, outputs),
    }
    document = figures_document(entries, results, sweep=True)
    assert all(key in document for key in REQUIRED)
    assert all(key in document["baselines"][name] for name in ("vad_timeout", "predict_turn") for key in REQUIRED)
    assert set(document["by_kind"]) == {"clause"}
    # The timeout's default waits its 700 ms and cuts nothing here; the turn model waits for itself.
    assert document["baselines"]["vad_timeout"]["wait_p50_ms"] == pytest.approx(700, abs=80)
    facts = {
        "half": "tuning", "when": "now", "commit": "<b>", "latencies_ms": {"asr_ms": 90},
        "set": {"holds": 1, "shifts": 1, "barge_ins": 1, "espeak": False},
    }  # fmt: skip
    page = render_page({**facts, **document})
    assert page.count("<svg") == 1
    assert "turn model alone" in page
    assert "<b>" not in page
