"""When it is decided who has the floor, and what the recogniser says of a sound that still goes on."""

from dataclasses import replace

import pytest

from services.common.settings import TurnSettings
from services.orchestrator.turns import barge_in
from services.orchestrator.turns import decisions as do
from services.orchestrator.turns import signals as on
from services.orchestrator.turns.expectation import OPEN
from services.orchestrator.turns.lexicon import lexicon
from services.orchestrator.turns.utterance import Utterance
from tests.orchestrator.turn_world import MS, World

DECIDE_MS, LATEST_MS = TurnSettings().barge_in_decide_ms, TurnSettings().barge_in_latest_ms
SAYING = "Your parcel left the warehouse on Monday and it will arrive on Wednesday before noon."


def test_settings_can_decide_sooner() -> None:
    world = World(TurnSettings(barge_in_decide_ms=300, barge_in_latest_ms=300))
    world.agent("speaking")
    onset_ms = world.now_ms
    world.speech(1_200)
    assert world.when(do.ResumePlayout) <= onset_ms + 300 + 32


# ---- noise that is taken for words


def judged(sound: barge_in.Sound, so_far: barge_in.SoFar) -> barge_in.Verdict:
    over = barge_in.Overheard(lexicon("en"), OPEN)
    return barge_in.by_sound(TurnSettings(), sound, so_far, over)


def noisy(partial: str = "", agreed: str = "", wordless: int = 0, since_ms: float = 800) -> barge_in.Verdict:
    sound = barge_in.Sound(since_ms, 0.9 * since_ms, still_speaking=True, noisy=True)
    return judged(sound, barge_in.SoFar(partial, agreed, wordless))


def test_on_a_noisy_line_words_are_believed_when_the_next_partial_agrees() -> None:
    assert noisy("have a good night", since_ms=400) is None
    assert noisy("have a good night") == ("resume", "no words yet")
    assert noisy("stop I mean", agreed="stop i mean") == ("stop", "words")


def test_a_sound_in_which_the_recogniser_hears_no_words_takes_no_floor_however_long_it_lasts() -> None:
    assert noisy(wordless=1, since_ms=400) is None
    assert noisy(wordless=1, since_ms=5_000) == ("resume", "no words yet")


def test_where_the_recogniser_says_nothing_at_all_somebody_who_speaks_on_and_on_has_the_floor() -> None:
    assert noisy(since_ms=1_900) == ("resume", "no words yet")
    assert noisy(since_ms=2_000) == ("stop", "speech")


def test_partials_agree_on_the_words_they_begin_with() -> None:
    utterance = Utterance(1, 0)
    utterance.partial_came("Where the weather.")
    assert utterance.agreed == ""
    utterance.partial_came("I want to stop")
    assert utterance.agreed == ""
    utterance.partial_came("I want to stop this")
    assert utterance.agreed == "i want to stop"
    utterance.partial_came("")
    utterance.partial_came("")
    assert (utterance.agreed, utterance.wordless) == ("", 2)


def asked_words(world: World, text: str, logprob: float = -0.2) -> None:
    """What the recogniser answers when it is asked in the middle of the sound."""
    world.feed(on.PartialText(world.now_ms * MS, world.utterance, text, True, logprob))


def contested(ms: int, level_db: float | None = None) -> World:
    world = World()
    world.agent("speaking", saying=SAYING)
    world.speech(ms, level_db)
    return world


def test_the_recogniser_is_asked_in_time_to_decide_within_500_ms() -> None:
    world = World()
    world.agent("speaking", saying=SAYING)
    onset_ms = world.now_ms
    world.speech(416)
    assert world.when(do.AskWords) <= onset_ms + 352
    asked_words(world, "No.")
    assert world.when(do.StopPlayout) <= onset_ms + 500


@pytest.mark.parametrize(("text", "logprob"), [("Okay", -0.1), ("Table", -0.9), ("", -0.1), ("your parcel left", -0.1)])
def test_an_answer_that_is_a_listening_sound_doubtful_or_our_own_voice_stops_nobody(text: str, logprob: float) -> None:
    world = contested(416)
    asked_words(world, text, logprob)
    assert not world.made(do.StopPlayout)


def test_the_recogniser_is_asked_again_while_a_listening_sound_goes_on_and_not_for_ever() -> None:
    world = contested(352)
    assert len(world.made(do.AskWords)) == 1
    asked_words(world, "Yeah")
    world.speech(64)
    assert len(world.made(do.AskWords)) == 2
    world.speech(128)
    assert world.made(do.ResumePlayout) == [do.ResumePlayout("backchannel")]
    asked_words(world, "Yeah I'll take")
    assert len(world.made(do.StopPlayout)) == 1
    world = contested(3_000)
    assert len(world.made(do.AskWords)) == len(barge_in.ASK_WORDS_MS)


def test_nobody_is_asked_what_an_uncontested_turn_is() -> None:
    world = World()
    world.speech(3_000)
    assert not world.made(do.AskWords)


def test_unsure_words_take_the_floor_when_the_sound_goes_on() -> None:
    world = contested(384)
    onset_ms = world.now_ms - 384
    for text in ("order", "about this"):
        asked_words(world, text, -0.8)
        assert not world.made(do.StopPlayout)
    world.speech(96)
    assert world.when(do.StopPlayout) <= onset_ms + barge_in.OVERLAP_MS + 32


@pytest.mark.parametrize("text", ["wait", "hold on"])
def test_words_that_only_interruptions_begin_with_take_the_floor_at_once_in_doubt_too(text: str) -> None:
    world = contested(384)
    asked_words(world, text, -1.1)
    assert len(world.made(do.StopPlayout)) == 1


def test_in_noise_they_do_when_the_recogniser_hears_them_twice() -> None:
    sound = barge_in.Sound(400, 380, still_speaking=True, noisy=True)
    told = barge_in.Told("just", -0.5, no_speech=0.9)
    assert judged(sound, barge_in.SoFar(told=told, answers=2)) is None
    assert judged(sound, barge_in.SoFar(told=told, answers=2, told_before="Just come")) == ("stop", "words")


def test_one_sure_word_may_be_half_a_word_until_the_recogniser_says_it_again() -> None:
    sound = barge_in.Sound(380, 360, still_speaking=True)
    told = barge_in.Told("Tuesday", -0.4)
    assert judged(sound, barge_in.SoFar(told=told, answers=1)) is None
    assert judged(sound, barge_in.SoFar(told=told, answers=2, told_before="Tuesday")) == ("stop", "words")


def test_the_answer_that_comes_after_the_sound_has_ended_still_stops_the_agent() -> None:
    world = contested(288)
    world.silence(210)
    assert world.made(do.AskWords)
    assert world.made(do.PauseSpeech)
    asked_words(world, "Stop.")
    assert len(world.made(do.StopPlayout)) == 1


@pytest.mark.parametrize("ms", [96, 192, 288, 320])
def test_a_short_sound_is_decided_about_within_500_ms_of_its_onset_whatever_is_awaited(ms: int) -> None:
    world = contested(ms)
    onset_ms = world.now_ms - ms
    world.silence(640)
    assert world.when(do.ResumePlayout) <= onset_ms + 500


def test_nobody_is_talked_over_who_still_speaks_until_the_latest_time() -> None:
    world = contested(416)
    onset_ms = world.now_ms - 416
    world.speech(200)
    assert not world.made(do.ResumePlayout)
    world.speech(1_000)
    assert LATEST_MS <= world.when(do.ResumePlayout) - onset_ms <= LATEST_MS + 32


def test_who_falls_silent_before_that_has_the_agent_go_on_at_once() -> None:
    world = contested(540)
    onset_ms = world.now_ms - 540
    asked_words(world, "")
    world.silence(128)
    assert DECIDE_MS < world.when(do.ResumePlayout) - onset_ms < LATEST_MS


def test_a_decision_waits_for_the_text_of_a_dip_that_is_on_its_way() -> None:
    world = World(TurnSettings())
    world.agent("speaking", saying=SAYING)
    onset_ms = world.now_ms
    world.speech(352)
    world.silence(160)
    assert world.made(do.PauseSpeech)
    assert not world.made(do.ResumePlayout)
    world.text("")
    assert DECIDE_MS < world.when(do.ResumePlayout) - onset_ms < LATEST_MS


def test_words_after_the_agent_went_on_stop_it_without_a_second_pause() -> None:
    world = contested(800)
    assert world.made(do.ResumePlayout)
    world.partial("but I never ordered that")
    assert len(world.made(do.PausePlayout)) == len(world.made(do.StopPlayout)) == 1


def test_after_the_agent_went_on_a_sound_behind_a_pause_is_a_new_one() -> None:
    world = contested(800)
    world.silence(256)
    world.speech(256)
    assert len(world.made(do.PausePlayout)) == 2


def test_what_was_background_until_now_is_judged_from_now_on() -> None:
    world = World()
    for text in ("I want to book a flight.", "To Rome.", "On Monday."):
        world.turn(text, level_db=-20.0)
    world.agent("speaking", saying=SAYING)
    world.speech(1_500, level_db=-48.0)
    assert not world.made(do.PausePlayout)
    world.speech(320, level_db=-18.0)
    assert world.made(do.PausePlayout)
    assert not world.made(do.ResumePlayout, do.StopPlayout)


@pytest.mark.parametrize("text", ["God", "go get it", "all rest", "F f", ""])
def test_a_listening_sound_misheard_takes_the_floor_from_nobody(text: str) -> None:
    world = contested(416)
    asked_words(world, text, -1.1)
    world.speech(128)
    world.silence(210)
    world.text("")
    assert not world.made(do.StopPlayout)
    assert len(world.made(do.ResumePlayout)) == 1


def test_somebody_as_loud_as_the_caller_who_still_speaks_has_the_floor_without_words_too() -> None:
    world = contested(416)
    onset_ms = world.now_ms - 416
    asked_words(world, "")
    world.speech(128)
    asked_words(world, "", -1.5)
    world.speech(256)
    assert world.made(do.StopPlayout) == [do.StopPlayout(1, onset_ms * MS, "speech")]
    assert world.when(do.StopPlayout) <= onset_ms + barge_in.LONG_OVERLAP_MS + 32


@pytest.mark.parametrize(("told", "still"), [("okay okay", True), ("Hi, right.", True), ("", False)])
def test_a_long_listening_sound_or_one_with_gaps_is_left_to_its_words(told: str, still: bool) -> None:
    sound = barge_in.Sound(800, 750 if still else 450, still_speaking=True)
    verdict = judged(sound, barge_in.SoFar(told=barge_in.Told(told, -0.9), answers=2))
    assert verdict is not None
    assert verdict[0] == "resume"


def test_on_a_noisy_line_a_sound_without_words_takes_no_floor_so_soon() -> None:
    sound = barge_in.Sound(700, 690, still_speaking=True, noisy=True)
    assert judged(sound, barge_in.SoFar(told=barge_in.Told("", -1.4), answers=2)) == ("resume", "no words")


@pytest.mark.parametrize(
    ("locale", "text"),
    [("en", "Wait."), ("en", "Hold on."), ("de", "Moment bitte"), ("es", "Espere"), ("fr", "Attendez")],
)
def test_words_that_only_an_interruption_begins_with_are_believed_in_doubt(locale: str, text: str) -> None:
    assert barge_in.is_command(text, lexicon(locale))
    world = World()
    world.feed(on.Asked(world.now_ms * MS, OPEN, locale))
    world.agent("speaking")
    world.speech(300)
    world.silence(210)
    world.text(text, logprob=-1.0)
    assert len(world.made(do.StopPlayout)) == 1


def test_two_words_that_break_off_are_a_hum_misheard_and_more_speech_is_not() -> None:
    world = contested(352)
    world.silence(210)
    world.text("I have")
    assert world.made(do.Discard) == [do.Discard(1, "unfinished")]
    world = contested(640)
    world.silence(210)
    world.text("I have")
    assert len(world.made(do.StopPlayout)) == 1


def test_unsure_words_that_sound_like_a_listeners_are_and_sure_ones_are_words() -> None:
    for logprob, stops in ((-0.8, 0), (-0.3, 1)):
        world = contested(640)
        world.silence(210)
        world.text("Okay, look.", logprob=logprob)
        assert len(world.made(do.StopPlayout)) == stops


def test_words_that_could_break_off_have_not_while_the_sound_goes_on() -> None:
    sound = barge_in.Sound(500, 440, still_speaking=True)
    so_far = barge_in.SoFar(told=barge_in.Told("I have", -0.8), answers=2)
    assert judged(sound, so_far) is None
    assert judged(replace(sound, silent_ms=150), so_far) == ("resume", "unfinished")


def test_a_reply_that_nobody_has_heard_yet_waits_for_as_long_as_the_caller_speaks_on() -> None:
    world = World()
    world.agent("pending")
    world.speech(1_900)
    assert world.made(do.PausePlayout)
    assert not world.made(do.ResumePlayout)
    world.silence(210)
    world.text("and to the airport, please.")
    assert len(world.made(do.StopPlayout)) == 1


def test_a_cough_before_the_reply_delays_it_no_longer_than_one_over_it() -> None:
    world = World()
    world.agent("pending")
    onset_ms = world.now_ms
    world.speech(192)
    world.silence(640)
    assert world.when(do.ResumePlayout) <= onset_ms + 500
