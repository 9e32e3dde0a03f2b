"""Whole turns through the turn-taker, in virtual time."""

import pytest

from services.common.settings import TurnSettings
from services.orchestrator.turns import decisions as do
from services.orchestrator.turns import signals as on
from services.orchestrator.turns.expectation import Expectation
from tests.orchestrator.turn_world import MS, World


def test_a_complete_sentence_ends_220_ms_after_its_last_voiced_frame() -> None:
    world = World()
    world.speech(960)
    end_ms = world.now_ms
    world.silence(192)
    world.wait(8)
    world.predict(0.95)
    world.text("I lost my credit card.")
    world.silence(200)
    [turn] = world.made(do.EndTurn)
    assert turn == do.EndTurn(1, "I lost my credit card.", end_ms * MS, (end_ms + 220) * MS, "complete: full stop")
    assert world.when(do.EndTurn) == end_ms + 220


def test_the_dip_is_seen_after_200_ms_without_waiting_for_the_next_frame() -> None:
    world = World()
    world.speech(960)
    end_ms = world.now_ms
    world.silence(250)
    assert world.when(do.PauseSpeech) == end_ms + 200


@pytest.mark.parametrize(("each_ms", "dip_ms"), [(0, 200), (40, 240)])
def test_after_a_gap_between_words_the_next_dip_is_seen_later_unless_waits_are_declared(
    each_ms: int, dip_ms: int
) -> None:
    world = World(TurnSettings(pause_ms=200, later_dip_ms=each_ms))
    world.speech(960)
    world.silence(224)
    world.speech(320)
    end_ms = world.now_ms
    world.silence(320)
    assert [at for at, made in world.log if isinstance(made, do.PauseSpeech)][1:] == [end_ms + dip_ms]


@pytest.mark.parametrize(
    ("probability", "text", "least_ms", "most_ms"),
    [
        (0.95, "I lost my credit card.", 220, 230),
        (0.9, "I would like to", 1800, 2000),
        (0.5, "I lost my credit card.", 220, 230),
        (0.5, "I lost my credit card and", 1900, 2000),
        (0.1, "I need a taxi.", 1700, 2000),
        (0.95, "I need a taxi.", 900, 1500),
        (0.1, "I lost my credit card.", 220, 350),
        (0.5, "Yes.", 200, 230),
        (None, "I lost my credit card.", 220, 300),
        (0.5, "My number is four seven", 1700, 2000),
    ],
)
def test_the_wait_is_graded_by_audio_and_text(
    probability: float | None, text: str, least_ms: int, most_ms: int
) -> None:
    world = World()
    world.speech(640)
    end_ms = world.now_ms
    world.silence(210)
    if probability is not None:
        world.predict(probability)
    world.text(text)
    world.silence(2400)
    assert end_ms + least_ms <= world.when(do.EndTurn) <= end_ms + most_ms


@pytest.mark.parametrize(
    ("expectation", "text", "wait_ms"),
    [
        (Expectation("digits", 4), "One two three four.", 200),
        (Expectation("digits", 10), "5 5 5 1 2 3 4 5 6 7", 200),
        (Expectation("yes_no"), "Yes, please.", 200),
        (Expectation("date"), "The third of May nineteen eighty four.", 200),
        (Expectation("digits", 10), "One two three four.", 2000),
    ],
)
def test_an_answer_that_leaves_nothing_open_ends_the_turn_at_the_dip_and_an_unfinished_one_waits(
    expectation: Expectation, text: str, wait_ms: int
) -> None:
    world = World()
    world.feed(on.Asked(world.now_ms * MS, expectation))
    world.speech(640)
    end_ms = world.now_ms
    world.silence(192)
    world.wait(8)
    world.predict(0.5)
    world.text(text)
    world.silence(2400)
    assert world.when(do.EndTurn) == end_ms + wait_ms


def test_the_turn_model_is_asked_again_while_the_turn_is_open_and_no_more_than_twice() -> None:
    world = World()
    world.speech(640)
    end_ms = world.now_ms
    world.silence(210)
    world.predict(0.1)
    world.text("I want to")
    world.silence(2000)
    asked = [at for at, decision in world.log if isinstance(decision, do.AskTurnModel)]
    assert asked == [end_ms + 400, end_ms + 700]


def test_a_later_opinion_shortens_the_wait() -> None:
    world = World()
    world.speech(640)
    end_ms = world.now_ms
    world.silence(210)
    world.predict(0.05)
    world.text("Call me a taxi.")
    world.silence(220)
    world.predict(0.97)
    assert world.when(do.EndTurn) <= end_ms + 480


def test_a_caller_who_pauses_long_gets_longer_waits_within_bounds() -> None:
    def open_wait(pauses: int) -> int:
        world = World()
        for _ in range(pauses):
            world.speech(320)
            world.silence(1_200)
        world.speech(320)
        end_ms = world.now_ms
        world.silence(210)
        world.predict(0.2)
        world.text("and then to the", provisional=False)
        world.silence(4_000)
        return world.when(do.EndTurn) - end_ms

    waits = [open_wait(pauses) for pauses in (0, 2, 6, 14)]
    assert waits == sorted(waits)
    assert waits[0] < waits[-1] <= 4_000


def test_one_number_moves_every_wait() -> None:
    def ended(shift_ms: int, probability: float, text: str) -> int:
        world = World(TurnSettings(endpoint_shift_ms=shift_ms))
        world.speech(640)
        end_ms = world.now_ms
        world.silence(210)
        world.predict(probability)
        world.text(text)
        world.silence(3_000)
        return world.when(do.EndTurn) - end_ms

    for probability, text in ((0.95, "Where is my parcel?"), (0.2, "Call me a"), (0.5, "Call me a taxi")):
        assert ended(200, probability, text) - ended(0, probability, text) == 200


def test_a_pause_inside_a_turn_voids_the_first_text_and_asks_again() -> None:
    world = World()
    world.speech(640)
    world.silence(210)
    world.predict(0.1)
    world.text("I want to")
    world.silence(300)
    world.speech(640)
    world.silence(210)
    world.predict(0.9)
    world.text("I want to fly to Rome.")
    world.silence(400)
    assert [turn.text for turn in world.made(do.EndTurn)] == ["I want to fly to Rome."]
    assert len(world.made(do.PauseSpeech)) == 2
    assert len(world.made(do.ResumeSpeech)) == 1


def test_a_click_is_not_speech() -> None:
    world = World()
    world.speech(32)
    world.silence(500)
    assert world.log == []


@pytest.mark.parametrize(("then", "ends_after_ms"), [("speech", None), ("silence", 352), ("no frames", 320 + 150)])
def test_a_turn_is_not_ended_while_the_newest_frame_is_speech_again(then: str, ends_after_ms: int | None) -> None:
    world = World(TurnSettings(pause_ms=200, endpoint_shift_ms=115))
    world.speech(960)
    end_ms = world.now_ms
    world.silence(224)
    world.predict(0.95)
    world.text("I lost my credit card.")
    world.silence(64)
    # 320 ms after the last voiced frame; the wait is over after 335.
    world.speech(32)
    match then:
        case "speech":
            world.speech(320)
        case "silence":
            world.silence(320)
        case _:
            world.wait(320)
    assert [at - end_ms for at, made in world.log if isinstance(made, do.EndTurn)] == (
        [] if ends_after_ms is None else [ends_after_ms]
    )


def test_a_text_that_comes_after_the_wait_ends_the_turn_at_once_and_does_not_count_as_endpointing() -> None:
    world = World()
    world.speech(640)
    end_ms = world.now_ms
    world.silence(210)
    world.predict(0.9)
    world.silence(600)
    world.text("I lost my credit card.")
    [turn] = world.made(do.EndTurn)
    assert turn.decided_ns == (end_ms + 224) * MS
    assert world.when(do.EndTurn) > end_ms + 800


def test_a_missing_text_is_asked_for_again_then_late_then_lost() -> None:
    world = World()
    world.speech(640)
    end_ms = world.now_ms
    world.silence(210)
    world.wait(20_000)
    assert world.when(do.FinalLate) == world.when(do.Finalize) == end_ms + 3000
    assert world.when(do.FailTurn) == end_ms + 11_000
    assert not world.taker.utterance_open


def test_a_late_text_is_still_answered() -> None:
    world = World()
    world.speech(640)
    world.silence(210)
    world.wait(5_000)
    world.agent("speaking")  # the apology
    world.text("Okay.", provisional=False)
    assert [turn.text for turn in world.made(do.EndTurn)] == ["Okay."]


def test_long_speech_without_words_is_asked_about_and_short_is_not() -> None:
    world = World()
    world.speech(1600)
    world.silence(210)
    world.text("")
    world.silence(2_000)
    assert len(world.made(do.UnclearTurn)) == 1
    world.speech(200)
    world.silence(210)
    world.text("")
    world.silence(2_000)
    assert len(world.made(do.UnclearTurn)) == 1
    assert [discard.reason for discard in world.made(do.Discard)] == ["no words"]


def test_a_short_sound_without_words_is_asked_about_where_one_word_would_answer() -> None:
    world = World()
    world.asked(Expectation("yes_no"))
    world.speech(300)
    world.silence(210)
    world.text("")
    world.silence(2_000)
    assert len(world.made(do.UnclearTurn)) == 1


def test_speculation_begins_with_the_first_text_and_is_dropped_when_speech_goes_on() -> None:
    world = World()
    world.speech(640)
    world.silence(210)
    world.predict(0.9)
    world.text("Book a flight.")
    assert world.made(do.Speculate) == [do.Speculate(1, "Book a flight.")]
    world.speech(320)
    assert len(world.made(do.DropSpeculation)) == 1


def test_a_turn_ends_sooner_the_more_likely_its_text_ends_an_utterance() -> None:
    ends = []
    for ending in (-3.0, None, 3.0):
        world = World()
        world.speech(640)
        world.silence(210)
        world.predict(0.9)
        world.text("I need a taxi.", ending=ending)
        world.silence(2_400)
        ends.append(world.when(do.EndTurn))
    assert ends[0] > ends[1] > ends[2]


@pytest.mark.parametrize(("probability", "text"), [(0.02, "Book a flight to the"), (0.9, "Book a flight to")])
def test_a_reply_to_a_turn_that_may_go_on_is_prepared_later(probability: float, text: str) -> None:
    world = World()
    world.speech(640)
    end_ms = world.now_ms
    world.silence(210)
    world.predict(probability)
    world.text(text)
    assert not world.made(do.Speculate)
    world.silence(2400)
    assert world.when(do.Speculate) == end_ms + 1_010
    assert len(world.made(do.EndTurn)) == 1


def test_nothing_is_prepared_for_a_turn_without_words() -> None:
    world = World()
    world.speech(640)
    world.silence(210)
    world.predict(0.9)
    world.text("")
    world.silence(2000)
    assert not world.made(do.Speculate)


def test_without_frames_time_alone_ends_the_turn() -> None:
    world = World()
    world.speech(640)
    last_ms = world.now_ms
    world.wait(400)
    assert world.when(do.PauseSpeech) == last_ms + 200 + 150
    world.text("Hello.")
    assert world.made(do.EndTurn)


def test_an_utterance_without_end_is_cut_after_28_s() -> None:
    world = World()
    world.speech(29_000)
    world.text("and so on and so on")
    assert len(world.made(do.EndTurn)) == 1
