"""The turn-taker's machine as a table: in this state, this happens, and then this is decided and that is the state."""

from collections.abc import Callable

import pytest

from services.orchestrator.turns import signals as on
from services.orchestrator.turns.expectation import Expectation
from tests.orchestrator.turn_world import MS, World

Step = Callable[[World], None]


def quiet(world: World) -> None:
    world.agent("speaking")
    world.agent("idle")


def speaking(world: World) -> None:
    quiet(world)
    world.speech(640)


def dipped(world: World) -> None:
    speaking(world)
    world.silence(210)


def dipped_with_text(world: World) -> None:
    dipped(world)
    world.predict(0.2)
    world.text("I want to")


def late(world: World) -> None:
    dipped(world)
    world.wait(3_000)


def contested(world: World) -> None:
    world.agent("speaking", saying="Your parcel is on its way.")
    world.speech(160)


def given_back(world: World) -> None:
    contested(world)
    world.silence(500)


def taken(world: World) -> None:
    world.agent("speaking", saying="Your parcel is on its way.")
    world.speech(2_100)


def protected(world: World) -> None:
    world.agent("speaking", protected=True)
    world.speech(640)
    world.silence(210)


def pending(world: World) -> None:
    world.turn("Where is my parcel?")
    world.agent("pending")


def keying(world: World) -> None:
    quiet(world)
    world.asked(Expectation("digits", 4))
    world.keys("12")


def held(world: World) -> None:
    quiet(world)
    world.feed(on.HoldChanged(world.now_ms * MS, True))


def hold(world: World) -> None:
    world.feed(on.HoldChanged(world.now_ms * MS, True))


def fails(world: World) -> None:
    world.feed(on.FinalFailed(world.now_ms * MS, world.utterance))


def old_text(world: World) -> None:
    world.feed(on.FinalText(world.now_ms * MS, world.utterance - 1, "Hello.", False))


def says(text: str) -> Step:
    return lambda world: world.text(text)


def waits(ms: int) -> Step:
    return lambda world: world.wait(ms)


def speaks(ms: int) -> Step:
    return lambda world: world.speech(ms)


def falls_silent(ms: int) -> Step:
    return lambda world: world.silence(ms)


def presses(keys: str) -> Step:
    return lambda world: world.keys(keys)


def agent_is(phase: on.AgentPhase) -> Step:
    return lambda world: world.agent(phase)


# state, event, what is decided in order, whether an utterance is open then
TABLE: list[tuple[Step, Step, list[str], bool]] = [
    (quiet, speaks(160), ["StartSpeech"], True),
    (quiet, speaks(32), [], False),
    (quiet, waits(12_000), ["Reprompt"], False),
    (quiet, presses("5"), [], False),
    (quiet, old_text, [], False),
    (quiet, hold, [], False),
    (speaking, falls_silent(210), ["PauseSpeech"], True),
    (speaking, waits(380), ["PauseSpeech"], True),
    (speaking, says("Hello."), [], True),
    (speaking, fails, [], True),
    (speaking, hold, ["Discard"], False),
    (speaking, presses("1"), [], True),
    (dipped, speaks(160), ["ResumeSpeech"], True),
    (dipped, says("I want a taxi to the"), [], True),
    (dipped, says("I want a taxi."), ["Speculate"], True),
    (dipped, says(""), [], True),
    (dipped, old_text, [], True),
    (dipped, fails, ["Finalize"], True),
    (dipped, waits(250), ["AskTurnModel"], True),
    (dipped, waits(3_000), ["AskTurnModel", "AskTurnModel", "FinalLate", "Finalize"], True),
    (dipped, presses("1"), ["Discard"], False),
    (dipped, hold, ["Discard"], False),
    (dipped, agent_is("speaking"), [], True),
    (dipped_with_text, speaks(160), ["ResumeSpeech"], True),
    (dipped_with_text, falls_silent(2_200), ["AskTurnModel", "AskTurnModel", "Speculate", "EndTurn"], False),
    (late, says("Yes."), ["EndTurn"], False),
    (late, fails, ["FailTurn"], False),
    (late, waits(8_000), ["FailTurn"], False),
    (late, speaks(160), ["ResumeSpeech"], True),
    (contested, falls_silent(500), ["PauseSpeech", "ResumePlayout"], True),
    (contested, speaks(2_000), ["AskWords", "AskWords", "StopPlayout"], True),
    (contested, lambda world: world.partial("no the other one"), ["StopPlayout"], True),
    (contested, agent_is("idle"), ["ResumePlayout"], True),
    (contested, hold, ["ResumePlayout", "Discard"], False),
    (contested, presses("1"), ["StopPlayout"], True),
    (given_back, says("Mhm."), ["Discard"], False),
    (given_back, says("Stop."), ["StopPlayout", "EndTurn"], False),
    (given_back, speaks(200), ["ResumeSpeech", "PausePlayout"], True),
    (taken, falls_silent(210), ["PauseSpeech"], True),
    (protected, says("Mhm."), ["Discard"], False),
    (protected, says("No."), ["EndTurn"], False),
    (pending, waits(900), ["Filler"], False),
    (pending, speaks(160), ["StartSpeech", "PausePlayout"], True),
    (pending, presses("1"), ["StopPlayout"], False),
    (keying, presses("34"), ["KeysEntered"], False),
    (keying, presses("#"), ["KeysEntered"], False),
    (keying, waits(4_000), ["KeysEntered"], False),
    (keying, speaks(160), ["StartSpeech"], True),
    (keying, hold, [], False),
    (held, speaks(640), [], False),
    (held, presses("1"), [], False),
    (held, waits(60_000), [], False),
]


@pytest.mark.parametrize(("state", "event", "decided", "still_open"), TABLE)
def test_in_this_state_this_event_leads_there(state: Step, event: Step, decided: list[str], still_open: bool) -> None:
    world = World()
    state(world)
    before = len(world.log)
    event(world)
    assert [type(decision).__name__ for _, decision in world.log[before:]] == decided
    assert world.taker.utterance_open is still_open
