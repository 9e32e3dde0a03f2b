"""Who has the floor while the agent speaks: interruptions, listening sounds, coughs, echo, other people."""

import pytest

from services.common.settings import TurnSettings
from services.orchestrator.turns import barge_in
from services.orchestrator.turns import decisions as do
from services.orchestrator.turns import signals as on
from services.orchestrator.turns.barge_in import is_backchannel
from services.orchestrator.turns.echo import is_echo
from services.orchestrator.turns.expectation import OPEN, Expectation
from services.orchestrator.turns.lexicon import lexicon
from services.orchestrator.turns.utterance import Utterance
from tests.orchestrator.turn_world import MS, World

SAYING = "Your parcel left the warehouse on Monday and it will arrive on Wednesday before noon."


def test_speech_over_the_agent_pauses_it_and_then_takes_the_floor() -> None:
    world = World()
    world.agent("speaking")
    onset_ms = world.now_ms
    world.speech(700)
    world.partial("no the other")
    world.speech(400)
    assert world.when(do.PausePlayout) <= onset_ms + 128
    assert world.when(do.StopPlayout) <= onset_ms + 720
    world.agent("idle")
    world.silence(210)
    world.predict(0.9)
    world.text("No, the other one.")
    world.silence(300)
    assert [turn.text for turn in world.made(do.EndTurn)] == ["No, the other one."]


def test_a_cough_gives_the_floor_back_within_500_ms() -> None:
    world = World()
    world.agent("speaking")
    onset_ms = world.now_ms
    world.speech(192)
    world.silence(600)
    assert world.when(do.ResumePlayout) <= onset_ms + 520
    assert not world.made(do.StopPlayout)


@pytest.mark.parametrize("text", ["Mm-hmm.", "Okay.", "I see.", "Uh-huh, right."])
def test_a_backchannel_is_no_interruption(text: str) -> None:
    world = World()
    world.agent("speaking")
    world.speech(400)
    world.silence(210)
    world.text(text)
    assert world.made(do.ResumePlayout) == [do.ResumePlayout("backchannel")]
    assert world.made(do.Discard) == [do.Discard(1, "backchannel")]
    assert not world.made(do.StopPlayout, do.EndTurn)


def test_a_backchannel_while_the_agent_is_silent_is_an_answer() -> None:
    world = World()
    world.speech(400)
    world.silence(210)
    world.predict(0.9)
    world.text("Okay.")
    world.silence(200)
    assert [turn.text for turn in world.made(do.EndTurn)] == ["Okay."]


def test_a_short_word_that_means_something_stops_the_agent_even_after_it_went_on() -> None:
    world = World()
    world.agent("speaking")
    world.speech(192)
    world.silence(400)
    assert world.made(do.ResumePlayout)
    world.text("Stop.")
    assert world.made(do.StopPlayout) == [do.StopPlayout(1, world.made(do.StartSpeech)[0].onset_ns, "words")]


def test_two_words_of_a_partial_are_enough_to_stop() -> None:
    world = World()
    world.agent("speaking")
    world.speech(200)
    world.feed(on.PartialText(world.now_ms * MS, 1, "no wait"))
    assert world.made(do.StopPlayout)


def test_speech_before_the_reply_is_heard_holds_the_reply() -> None:
    world = World()
    world.agent("pending")
    world.speech(200)
    assert world.made(do.PausePlayout)


def test_a_long_listening_sound_is_not_taken_for_an_interruption_before_its_words_are_known() -> None:
    world = World()
    world.agent("speaking", saying=SAYING)
    world.speech(700)
    world.silence(210)
    world.text("Uh-huh, okay.")
    assert world.made(do.ResumePlayout) == [do.ResumePlayout("backchannel")]
    assert not world.made(do.StopPlayout)


def test_clear_words_take_the_floor_as_soon_as_they_are_heard() -> None:
    world = World()
    world.agent("speaking", saying=SAYING)
    onset_ms = world.now_ms
    world.speech(420)
    world.partial("no I meant")
    assert world.when(do.StopPlayout) <= onset_ms + 420
    assert [stop.reason for stop in world.made(do.StopPlayout)] == ["words"]


def test_the_first_word_of_the_greeting_can_be_interrupted() -> None:
    world = World()
    world.agent("pending")
    world.agent("speaking", saying="Hello, how can I help you?")
    onset_ms = world.now_ms
    world.speech(128)
    assert world.when(do.PausePlayout) <= onset_ms + 128


def test_a_laugh_in_bursts_is_recognised_by_its_text() -> None:
    world = World()
    world.agent("speaking", saying=SAYING)
    for _ in range(3):
        world.speech(160)
        world.silence(96)
    world.silence(200)
    world.text("Ha ha ha.")
    assert not world.made(do.StopPlayout)
    assert len(world.made(do.PausePlayout)) == len(world.made(do.ResumePlayout))


def test_a_new_sound_after_a_resume_pauses_again() -> None:
    world = World()
    world.agent("speaking", saying=SAYING)
    world.speech(96)
    world.silence(512)
    assert len(world.made(do.ResumePlayout)) == 1
    world.speech(300)
    assert len(world.made(do.PausePlayout)) == 2
    world.speech(2_000)
    assert len(world.made(do.StopPlayout)) == 1


def test_words_that_nobody_understood_stop_nobody() -> None:
    world = World()
    world.agent("speaking", saying=SAYING)
    world.speech(400)
    world.silence(210)
    world.text("Thank you for watching.", logprob=-1.6)
    assert world.made(do.Discard) == [do.Discard(1, "low score")]
    assert not world.made(do.StopPlayout)


def test_a_sound_without_text_is_given_back_in_time_and_its_words_still_decide() -> None:
    world = World()
    world.agent("speaking", saying=SAYING)
    onset_ms = world.now_ms
    world.speech(450)
    world.silence(800)
    assert world.when(do.ResumePlayout) <= onset_ms + 1032
    world.text("The other one.")
    assert len(world.made(do.StopPlayout)) == 1


# ---- protected speech


def test_protected_speech_is_neither_paused_nor_stopped_and_the_words_are_answered() -> None:
    world = World()
    world.agent("speaking", protected=True, saying="This call may be recorded.")
    world.turn("I want to cancel my order.", ms=1600)
    assert not world.made(do.PausePlayout, do.StopPlayout, do.ResumePlayout)
    assert [turn.text for turn in world.made(do.EndTurn)] == ["I want to cancel my order."]


def test_a_listening_sound_under_protected_speech_is_no_answer() -> None:
    world = World()
    world.agent("speaking", protected=True)
    world.turn("Mhm.")
    assert world.made(do.Discard) == [do.Discard(1, "backchannel")]


def test_speech_that_becomes_protected_goes_on_at_once() -> None:
    world = World()
    world.agent("pending")
    world.speech(200)
    assert world.made(do.PausePlayout)
    world.agent("speaking", protected=True)
    assert world.made(do.ResumePlayout) == [do.ResumePlayout("protected")]


def test_speech_that_outlasts_the_protected_text_contests_what_follows() -> None:
    world = World()
    world.agent("speaking", protected=True)
    world.speech(640)
    world.agent("speaking")
    world.speech(64)
    assert len(world.made(do.PausePlayout)) == 1


# ---- echo and other people


@pytest.mark.parametrize(
    ("text", "below_db", "echo"),
    [
        ("left the warehouse on Monday", None, True),
        ("left a warehouse on Monday and", None, True),
        ("will arrive on Wednesday before noon", 20.0, True),
        ("Wednesday", 12.0, True),
        ("Wednesday", None, False),
        ("will arrive on Wednesday before noon", 1.0, False),
        ("no I need it on Monday", None, False),
        ("stop", 12.0, False),
        ("", 12.0, False),
    ],
)
def test_echo_is_a_quieter_run_of_the_agents_own_words(text: str, below_db: float | None, echo: bool) -> None:
    assert is_echo(text, SAYING, below_db) is echo


@pytest.mark.parametrize(
    ("text", "below_db", "known_db", "echo"),
    [
        ("you were parsing left aware house", 9.0, None, True),
        ("you were parsing left aware house", None, None, False),
        ("you were parsing left aware house", 3.0, None, False),
        ("can I talk to somebody else", 9.0, None, False),
        ("can I talk to somebody else", 9.0, 9.0, False),
        ("Monday", 9.0, 12.0, True),
        ("stop", 9.0, None, False),
        ("stop", 9.0, 12.0, True),
        ("stop", 9.0, 16.0, False),
    ],
)
def test_misheard_echo_sounds_like_what_the_agent_says(
    text: str, below_db: float | None, known_db: float | None, echo: bool
) -> None:
    assert is_echo(text, SAYING, below_db, known_db) is echo


def test_the_agents_own_voice_does_not_stop_it() -> None:
    world = World()
    world.agent("speaking", saying=SAYING)
    world.speech(600)
    world.partial("the warehouse on Monday")
    assert world.made(do.ResumePlayout) == [do.ResumePlayout("echo")]
    world.silence(210)
    world.text("The warehouse on Monday.")
    assert not world.made(do.StopPlayout)


def test_echo_that_is_recognised_after_the_agent_ended_is_not_answered() -> None:
    world = World()
    world.agent("speaking", saying=SAYING)
    world.speech(300)
    world.agent("idle")
    world.silence(210)
    world.text("On Wednesday before noon.")
    world.silence(2_000)
    assert world.made(do.Discard) == [do.Discard(1, "echo")]


def test_an_offered_choice_is_an_answer_though_the_agent_said_the_same_words() -> None:
    world = World()
    world.asked(Expectation("choice", options=("morning", "afternoon")))
    world.agent("speaking", saying="Would you like the morning or the afternoon?")
    world.speech(500)
    world.silence(210)
    world.text("or the afternoon")
    assert len(world.made(do.StopPlayout)) == 1


def test_a_voice_far_below_the_callers_own_does_not_interrupt() -> None:
    world = World()
    for text in ("I want to book a flight.", "To Rome.", "On Monday."):
        world.turn(text, level_db=-20.0)
    world.agent("speaking", saying=SAYING)
    before = len(world.log)
    world.speech(1_500, level_db=-45.0)
    world.frames(210, 0.02, -90.0)
    world.text("and now the weather for tomorrow")
    assert not [d for _, d in world.log[before:] if isinstance(d, do.PausePlayout | do.StopPlayout | do.EndTurn)]
    assert world.made(do.Discard) == [do.Discard(4, "background")]


def test_a_caller_who_moved_away_is_heard_after_a_few_attempts() -> None:
    world = World()
    for text in ("I want to book a flight.", "To Rome.", "On Monday."):
        world.turn(text, level_db=-20.0)
    world.agent("speaking", saying=SAYING)
    for _ in range(4):
        world.speech(800, level_db=-40.0)
        world.frames(210, 0.02, -90.0)
        world.text("can you hear me over there")
        world.frames(500, 0.02, -90.0)
    assert world.made(do.StopPlayout)


# ---- listening sounds, per language


@pytest.mark.parametrize(
    ("locale", "text"),
    [
        ("en-US", "Mm-hmm."),
        ("en-US", "Yeah, okay."),
        # The end of "yes, please" that came after the yes was acted on.
        ("en-GB", "please. Please"),
        ("de-DE", "Bitte."),
        ("en-US", "Ha ha ha ha ha ha."),
        ("de-DE", "Mhm, ja."),
        ("de-DE", "Ach so."),
        ("es-ES", "Ajá, vale."),
        ("fr-FR", "D'accord."),
    ],
)
def test_these_are_sounds_of_listening(locale: str, text: str) -> None:
    assert is_backchannel(text, lexicon(locale))


@pytest.mark.parametrize(
    ("locale", "text"), [("en-US", "Stop."), ("en-US", "No."), ("de-DE", "Nein."), ("de-DE", "Moment mal.")]
)
def test_these_are_not(locale: str, text: str) -> None:
    assert not is_backchannel(text, lexicon(locale))


@pytest.mark.parametrize(
    ("expectation", "stopped"), [(Expectation("yes_no"), 1), (Expectation("choice"), 1), (Expectation(), 0)]
)
def test_a_yes_before_the_question_is_finished_is_an_answer_only_to_a_question_that_wants_it(
    expectation: Expectation, stopped: int
) -> None:
    world = World()
    world.asked(expectation)
    world.agent("speaking", saying="Shall I book it for you?")
    world.speech(300)
    world.silence(210)
    world.text("Yeah.")
    assert len(world.made(do.StopPlayout)) == stopped


def test_settings_can_decide_sooner() -> None:
    world = World(TurnSettings(barge_in_words_ms=500))
    world.agent("speaking")
    onset_ms = world.now_ms
    world.speech(1_200)
    assert world.when(do.StopPlayout) <= onset_ms + 1_032


# ---- noise that is taken for words


def noisy(partial: str = "", agreed: str = "", wordless: int = 0, since_ms: float = 700) -> barge_in.Verdict:
    sound = barge_in.Sound(since_ms, 600, still_speaking=True, noisy=True)
    over = barge_in.Overheard(lexicon("en"), OPEN)
    return barge_in.by_sound(TurnSettings(), sound, barge_in.SoFar(partial, agreed, wordless), over)


def test_on_a_noisy_line_words_are_believed_when_the_next_partial_agrees() -> None:
    assert noisy("have a good night") is None
    assert noisy("stop I mean", agreed="stop i mean") == ("stop", "words")


def test_a_sound_in_which_the_recogniser_hears_no_words_gives_the_floor_back() -> None:
    assert noisy(wordless=1, since_ms=1_200) is None
    assert noisy(wordless=2, since_ms=900) is None
    assert noisy(wordless=2, since_ms=1_200) == ("resume", "no words")


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


@pytest.mark.parametrize(("text", "logprob"), [("Okay", -0.1), ("Stop", -0.9), ("", -0.1), ("your parcel left", -0.1)])
def test_an_answer_that_is_a_listening_sound_doubtful_or_our_own_voice_stops_nobody(text: str, logprob: float) -> None:
    world = contested(416)
    asked_words(world, text, logprob)
    assert not world.made(do.StopPlayout)


def test_the_recogniser_is_asked_once_more_when_a_listening_sound_goes_on() -> None:
    world = contested(416)
    asked_words(world, "Yeah")
    world.speech(320)
    assert len(world.made(do.AskWords)) == 2
    asked_words(world, "Yeah I'll take")
    assert len(world.made(do.StopPlayout)) == 1
    world.speech(2_000)
    assert len(world.made(do.AskWords)) == 2


def test_nobody_is_asked_what_an_uncontested_turn_is() -> None:
    world = World()
    world.speech(3_000)
    assert not world.made(do.AskWords)


@pytest.mark.parametrize("text", ["about this", "wait", "hold on"])
def test_unsure_words_take_the_floor_when_the_sound_goes_on(text: str) -> None:
    world = contested(416)
    onset_ms = world.now_ms - 416
    asked_words(world, text, -1.1)
    assert not world.made(do.StopPlayout)
    world.speech(96)
    assert world.when(do.StopPlayout) <= onset_ms + 512


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


@pytest.mark.parametrize(("told", "still"), [("okay okay", True), ("", False)])
def test_a_long_listening_sound_or_one_with_gaps_is_left_to_its_words(told: str, still: bool) -> None:
    sound = barge_in.Sound(700, 650 if still else 400, still_speaking=True)
    so_far = barge_in.SoFar(told=barge_in.Told(told, -0.9), answers=2)
    assert barge_in.by_sound(TurnSettings(), sound, so_far, barge_in.Overheard(lexicon("en"), OPEN)) is None


def test_on_a_noisy_line_a_sound_without_words_takes_no_floor_so_soon() -> None:
    sound = barge_in.Sound(700, 690, still_speaking=True, noisy=True)
    so_far = barge_in.SoFar(told=barge_in.Told("", -1.4), answers=2)
    assert barge_in.by_sound(TurnSettings(), sound, so_far, barge_in.Overheard(lexicon("en"), OPEN)) is None


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
    assert world.made(do.ResumePlayout) == [do.ResumePlayout("unfinished")]
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
