"""Silence, doubts, waiting and keys: what happens between turns."""

import pytest

from services.common.settings import TurnSettings
from services.orchestrator.turns import decisions as do
from services.orchestrator.turns import signals as on
from services.orchestrator.turns.expectation import Expectation, KeypadRule
from services.orchestrator.turns.taker import TurnTaker
from tests.orchestrator.turn_world import MS, World


def test_silence_is_asked_about_three_times_and_then_given_up() -> None:
    world = World()
    world.agent("speaking")
    world.agent("idle")
    for phase in range(3):
        world.wait(12_000)
        assert [again.number for again in world.made(do.Reprompt)] == list(range(1, phase + 2))
        world.agent("speaking")
        world.agent("idle")
    assert [again.kind for again in world.made(do.Reprompt)] == ["again", "simpler", "offer"]
    world.wait(12_000)
    assert world.made(do.GiveUp)
    world.wait(60_000)
    assert len(world.made(do.GiveUp)) == 1


def test_a_key_counts_as_presence() -> None:
    world = World()
    world.agent("speaking")
    world.agent("idle")
    world.wait(11_000)
    world.feed(on.KeyPressed(world.now_ms * MS))
    world.wait(11_000)
    assert not world.made(do.Reprompt)


def test_nothing_is_decided_while_held() -> None:
    world = World()
    world.agent("speaking")
    world.agent("idle")
    world.speech(400)
    world.feed(on.HoldChanged(world.now_ms * MS, True))
    assert world.made(do.Discard) == [do.Discard(1, "held")]
    before = len(world.log)
    world.speech(2000)
    world.wait(60_000)
    assert len(world.log) == before
    world.feed(on.HoldChanged(world.now_ms * MS, False))
    world.speech(400)
    assert len(world.made(do.StartSpeech)) == 2


def test_settings_can_be_slower_for_callers_who_think() -> None:
    world = World(TurnSettings(endpoint_complete_ms=1000))
    world.speech(640)
    end_ms = world.now_ms
    world.silence(210)
    world.predict(0.99)
    world.text("I want to book a flight.")
    world.silence(1200)
    assert world.when(do.EndTurn) == end_ms + 1000


# ---- doubts


def unclear(world: World, text: str = "the blue the", logprob: float = -1.4) -> None:
    world.speech(800)
    world.silence(210)
    world.predict(0.95)
    world.text(text, logprob=logprob)
    world.silence(2_200)


def test_words_with_a_low_score_are_asked_again_and_not_guessed() -> None:
    world = World()
    unclear(world)
    assert [(d.utterance, d.reason) for d in world.made(do.UnclearTurn)] == [(1, "low score")]
    assert not world.made(do.EndTurn, do.Speculate)


def test_a_caller_who_is_never_understood_is_offered_help_and_not_asked_for_ever() -> None:
    world = World()
    world.agent("speaking")
    world.agent("idle")
    for _ in range(5):
        unclear(world)
    assert len(world.made(do.UnclearTurn)) == 2
    assert [again.kind for again in world.made(do.Reprompt)] == ["offer", "offer"]
    assert len(world.made(do.GiveUp)) == 1


def test_an_answer_that_is_understood_forgives_the_misunderstandings_before() -> None:
    world = World()
    world.agent("speaking")
    world.agent("idle")
    for _ in range(3):
        unclear(world)
        unclear(world)
        world.turn("I want to book a flight.")
    assert len(world.made(do.UnclearTurn)) == 6
    assert not world.made(do.Reprompt, do.GiveUp)


@pytest.mark.parametrize(
    ("language", "probability", "voiced_ms", "kind"),
    [
        ("fr", 0.95, 2000, do.UnclearTurn),
        ("de", 0.95, 2000, do.EndTurn),
        ("fr", 0.5, 2000, do.EndTurn),
        ("fr", 0.95, 600, do.EndTurn),
        ("", 1.0, 2000, do.EndTurn),
    ],
)
def test_a_language_the_call_is_not_held_in_is_asked_about_when_it_is_sure(
    language: str, probability: float, voiced_ms: int, kind: type
) -> None:
    world = World()
    world.taker = TurnTaker(TurnSettings(), 3000, "en-US", ("en-US", "de-DE"))
    world.speech(voiced_ms)
    world.silence(210)
    world.predict(0.95)
    now_ns = world.now_ms * MS
    world.feed(on.FinalText(now_ns, 1, "Some words.", True, -0.2, 0.0, language, probability))
    world.silence(1_500)
    assert len(world.made(kind)) == 1
    assert all(turn.reason == "language" for turn in world.made(do.UnclearTurn))


# ---- waiting for the answer


def test_an_answer_that_takes_long_gets_a_word_of_patience_and_one_more() -> None:
    world = World()
    world.turn("Where is my parcel?")
    decided_ms = world.when(do.EndTurn)
    world.agent("pending")
    world.wait(20_000)
    fillers = [(at - decided_ms, d.number) for at, d in world.log if isinstance(d, do.Filler)]
    assert fillers == [(800, 1), (5_800, 2)]


def test_the_word_of_patience_itself_is_no_answer() -> None:
    world = World()
    world.turn("Where is my parcel?")
    world.agent("pending")
    world.wait(900)
    world.agent("speaking", saying="One moment, please.")
    world.wait(900)
    world.agent("pending")
    world.wait(10_000)
    assert [filler.number for filler in world.made(do.Filler)] == [1, 2]


def test_an_answer_in_time_gets_none() -> None:
    world = World()
    world.turn("Where is my parcel?")
    world.agent("pending")
    world.wait(300)
    world.agent("speaking")
    world.agent("pending")
    world.wait(10_000)
    assert not world.made(do.Filler)


def test_fillers_can_be_turned_off() -> None:
    world = World(TurnSettings(filler_ms=0))
    world.turn("Where is my parcel?")
    world.agent("pending")
    world.wait(20_000)
    assert not world.made(do.Filler)


# ---- keys


def entered(world: World) -> list[tuple[str, str, bool]]:
    return [(d.keys.reveal(), d.reason, d.masked) for d in world.made(do.KeysEntered)]


@pytest.mark.parametrize(
    ("expectation", "open_question"),
    [(Expectation(), True), (Expectation("yes_no"), False), (Expectation("digits"), False)],
)
def test_speech_begins_with_whether_anything_in_particular_was_asked(
    expectation: Expectation, open_question: bool
) -> None:
    world = World()
    world.asked(expectation)
    world.speech(200)
    assert [start.open_question for start in world.made(do.StartSpeech)] == [open_question]


def ready(world: World, expectation: Expectation) -> None:
    world.agent("speaking")
    world.agent("idle")
    world.asked(expectation)


def test_keys_are_an_answer_when_they_are_as_many_as_asked() -> None:
    world = World()
    ready(world, Expectation("digits", 4))
    world.keys("12345")
    assert entered(world) == [("1234", "complete", False)]


def test_a_terminator_ends_the_keys_and_is_none_of_them() -> None:
    world = World()
    ready(world, Expectation("digits", keypad=KeypadRule(max_keys=10)))
    world.keys("#77#")
    assert entered(world) == [("77", "terminator", False)]


def test_keys_without_a_terminator_end_after_a_pause_between_them() -> None:
    world = World()
    ready(world, Expectation("digits", keypad=KeypadRule(inter_digit_ms=2_000)))
    world.keys("77", gap_ms=1_900)
    world.wait(99)
    assert entered(world) == []
    world.wait(1)
    assert entered(world) == [("77", "timeout", False)]


def test_secret_keys_stay_secret_even_when_the_question_changes_between_them() -> None:
    world = World()
    ready(world, Expectation("digits", keypad=KeypadRule(max_keys=4, masked=True)))
    world.keys("12")
    world.asked(Expectation("digits", keypad=KeypadRule(max_keys=4)))
    world.keys("34")
    assert entered(world) == [("1234", "complete", True)]
    assert "1234" not in repr(world.log)


def test_a_key_stops_the_agent_at_once_but_not_protected_speech() -> None:
    world = World()
    world.agent("speaking")
    world.keys("1")
    assert [(d.utterance, d.reason) for d in world.made(do.StopPlayout)] == [(0, "key")]
    world.agent("idle")
    world.wait(5_000)
    world.agent("speaking", protected=True)
    world.keys("2")
    world.wait(5_000)
    assert len(world.made(do.StopPlayout)) == 1
    assert [keys for keys, _, _ in entered(world)] == ["1", "2"]


def test_what_is_said_while_keys_are_pressed_does_not_answer_the_question_too() -> None:
    world = World()
    ready(world, Expectation("digits", 4))
    world.speech(320)
    world.keys("12", gap_ms=50)
    world.speech(320)
    world.silence(210)
    world.text("One two.")
    world.keys("34")
    assert entered(world) == [("1234", "complete", False)]
    assert not world.made(do.EndTurn)
    assert [discard.reason for discard in world.made(do.Discard)] == ["keys"]


def test_keys_that_repeat_a_spoken_answer_take_its_place() -> None:
    world = World()
    ready(world, Expectation("digits", 4))
    world.turn("One two three four.")
    world.agent("pending")
    world.keys("1")
    world.agent("idle")
    world.keys("234")
    assert len(world.made(do.EndTurn)) == 1
    assert [stop.reason for stop in world.made(do.StopPlayout)] == ["key"]
    assert entered(world) == [("1234", "complete", False)]


def test_nobody_is_asked_whether_they_are_there_while_they_press_keys() -> None:
    world = World()
    ready(world, Expectation("digits", keypad=KeypadRule(inter_digit_ms=30_000)))
    world.keys("1", gap_ms=25_000)
    assert not world.made(do.Reprompt)
