"""A caller among other voices: the detector hears speech all the time, the caller's own level says when it ends."""

from services.common.settings import TurnSettings
from services.orchestrator.turns import decisions as do
from tests.orchestrator.turn_world import World

BABBLE_DB, CALLER_DB = -40.0, -25.0


def in_a_crowd() -> World:
    """Before the first word only the noise is heard, too faint for speech."""
    world = World(TurnSettings())
    world.frames(640, 0.1, BABBLE_DB)
    return world


def test_a_turn_ends_though_the_voices_behind_the_caller_go_on() -> None:
    world = in_a_crowd()
    world.speech(960, CALLER_DB)
    end_ms = world.now_ms
    world.speech(320, BABBLE_DB)
    world.text("I'd like to speak to an agent, please.")
    world.speech(3_000, BABBLE_DB)
    [turn] = world.made(do.EndTurn)
    assert isinstance(turn, do.EndTurn)
    assert abs(turn.last_voiced_ns / 1e6 - end_ms) <= 32
    assert world.when(do.EndTurn) <= end_ms + 700


def test_the_voices_behind_the_caller_do_not_undo_a_pause_and_the_caller_does() -> None:
    world = in_a_crowd()
    world.speech(960, CALLER_DB)
    world.frames(224, 0.02, BABBLE_DB)
    world.text("I would like to")
    world.speech(640, BABBLE_DB)
    assert not world.made(do.ResumeSpeech)
    world.speech(320, CALLER_DB)
    assert len(world.made(do.ResumeSpeech)) == 1


def test_a_weak_syllable_on_a_noisy_line_is_no_pause() -> None:
    world = in_a_crowd()
    world.speech(640, CALLER_DB)
    for _ in range(4):
        world.speech(160, CALLER_DB - 12)
        world.speech(96, CALLER_DB)
    assert not world.made(do.PauseSpeech)


def test_a_caller_who_gets_quieter_on_a_quiet_line_is_still_heard() -> None:
    world = World(TurnSettings())
    world.frames(640, 0.02, -70.0)
    world.speech(960, CALLER_DB)
    world.speech(960, CALLER_DB - 15)
    assert not world.made(do.PauseSpeech)


def test_the_voices_behind_a_silent_caller_do_not_pause_the_agent_and_the_caller_does() -> None:
    world = in_a_crowd()
    world.agent("speaking")
    world.speech(640, BABBLE_DB + 8)
    assert not world.made(do.PausePlayout)
    world.speech(128, CALLER_DB)
    assert len(world.made(do.PausePlayout)) == 1


def test_sound_that_adds_no_words_does_not_begin_the_wait_anew_on_a_noisy_line() -> None:
    world = in_a_crowd()
    world.speech(960, CALLER_DB)
    end_ms = world.now_ms
    for _ in range(4):
        world.frames(224, 0.02, BABBLE_DB)
        world.text("I would like to")
        world.frames(512, 0.02, BABBLE_DB)
        world.speech(96, CALLER_DB - 4)
    world.frames(224, 0.02, BABBLE_DB)
    world.text("I would like to")
    assert len(world.made(do.EndTurn)) == 1
    assert world.when(do.EndTurn) <= end_ms + 4 * 832 + 256


def test_a_turn_ends_though_voices_as_loud_as_the_caller_go_on_without_new_words() -> None:
    world = in_a_crowd()
    world.speech(960, CALLER_DB)
    world.frames(224, 0.02, BABBLE_DB)
    world.text("I'd like to speak to an")
    world.speech(320, CALLER_DB)
    assert len(world.made(do.ResumeSpeech)) == 1
    world.frames(224, 0.02, BABBLE_DB)
    world.text("I'd like to speak to an agent in")
    world.speech(320, CALLER_DB)
    for _ in range(8):
        world.partial("I'd like to speak to an agent in")
        world.speech(512, CALLER_DB)
        if world.made(do.PauseSpeech)[2:]:
            break
    world.text("I'd like to speak to an agent in")
    assert [turn.text for turn in world.made(do.EndTurn)] == ["I'd like to speak to an agent in"]


def test_a_call_that_begins_among_other_voices_learns_of_them_and_its_first_turn_ends() -> None:
    world = World(TurnSettings())
    world.speech(320, BABBLE_DB)
    world.speech(960, CALLER_DB)
    for _ in range(16):
        world.partial("Ten of clubs.")
        world.speech(512, BABBLE_DB)
        if world.made(do.PauseSpeech):
            break
    world.text("Ten of clubs.")
    world.speech(320, BABBLE_DB)
    assert [turn.text for turn in world.made(do.EndTurn)] == ["Ten of clubs."]
    # Some seconds are needed to tell noise from speech.
    assert world.now_ms < 7_000


def test_somebody_who_speaks_on_and_on_makes_no_line_noisy() -> None:
    world = World(TurnSettings())
    for _ in range(60):
        world.speech(160, CALLER_DB)
        # A closed mouth, too short for the detector.
        world.speech(32, -62.0)
    assert not world.taker.noisy_line
    assert not world.made(do.PauseSpeech)


def test_the_quiet_last_sounds_of_a_long_sentence_without_a_pause_belong_to_it() -> None:
    """As a recorded reader's levels go: no closed mouth for 5 s, one frame in seven near the faintest."""
    world = World(TurnSettings())
    world.frames(640, 0.02, -70.0)
    for _ in range(23):
        for level_db in (-23.0, -22.0, -21.0, -24.0, -23.0, -30.0, -37.0):
            world.speech(32, level_db)
    world.speech(256, -37.0)
    end_ms = world.now_ms
    world.frames(160, 0.02, -70.0)
    world.text("It was told to the whole room and no one said a word.")
    world.frames(3_000, 0.02, -70.0)
    [turn] = world.made(do.EndTurn)
    assert isinstance(turn, do.EndTurn)
    assert abs(turn.last_voiced_ns / 1e6 - end_ms) <= 32


def test_new_words_keep_the_turn_open_on_a_noisy_line_and_the_digits_of_a_number_are_words() -> None:
    world = in_a_crowd()
    world.speech(960, CALLER_DB)
    world.frames(224, 0.02, BABBLE_DB)
    world.text("My number is 4 7 1")
    world.speech(320, CALLER_DB)
    for more in ("47", "471", "4711", "47110", "4711081", "47110815"):
        world.partial(f"My number is {more}")
        world.speech(512, CALLER_DB)
    assert not world.made(do.EndTurn)


def test_pauses_that_noise_ended_teach_nothing_about_the_caller() -> None:
    world = in_a_crowd()
    before_ms = world.taker.caller.pause_ms
    world.speech(960, CALLER_DB)
    for _ in range(4):
        world.frames(1_000, 0.02, BABBLE_DB)
        world.text("I would like to")
        world.speech(128, CALLER_DB)
    assert world.taker.caller.pause_ms == before_ms
