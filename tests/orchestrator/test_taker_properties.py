"""Whatever happens in whatever order: no turn lost, none answered twice, nothing stuck."""

from hypothesis import given, settings
from hypothesis import strategies as st

from services.orchestrator.turns import decisions as do
from services.orchestrator.turns import signals as on
from tests.orchestrator.turn_world import CLOSING, MS, World

TEXTS = ["", "Yes.", "okay", "I want to", "Book a flight to Rome.", "mm-hmm", "stop"]

steps = st.one_of(
    st.tuples(st.just("frames"), st.integers(1, 40), st.sampled_from([0.02, 0.4, 0.6, 0.95])),
    st.tuples(st.just("wait"), st.integers(1, 4000)),
    st.tuples(st.just("text"), st.sampled_from(TEXTS), st.integers(-1, 0), st.booleans()),
    st.tuples(st.just("partial"), st.sampled_from(TEXTS)),
    st.tuples(st.just("failed")),
    st.tuples(st.just("predict"), st.floats(0, 1), st.integers(-1, 0)),
    st.tuples(st.just("agent"), st.sampled_from(["idle", "pending", "speaking"])),
    st.tuples(st.just("hold"), st.booleans()),
    st.tuples(st.just("key")),
)


def play(world: World, script: list[tuple]) -> None:
    for step in script:
        now_ns = world.now_ms * MS
        match step:
            case ("frames", count, probability):
                world.frames(count * 32, probability)
            case ("wait", ms):
                world.wait(ms)
            case ("text", text, back, provisional):
                world.feed(on.FinalText(now_ns, world.utterance + back, text, provisional))
            case ("partial", text):
                world.feed(on.PartialText(now_ns, world.utterance, text))
            case ("failed",):
                world.feed(on.FinalFailed(now_ns, world.utterance))
            case ("predict", probability, back):
                world.feed(on.TurnPrediction(now_ns, world.utterance + back, probability))
            case ("agent", phase):
                world.agent(phase)
            case ("hold", held):
                world.feed(on.HoldChanged(now_ns, held))
            case ("key",):
                world.feed(on.KeyPressed(now_ns))


@given(st.lists(steps, max_size=40))
@settings(max_examples=150, deadline=None)
def test_every_utterance_ends_exactly_once_and_none_stays_open(script: list[tuple]) -> None:
    world = World()
    play(world, script)
    world.feed(on.HoldChanged(world.now_ms * MS, False))
    world.wait(30_000)
    assert not world.taker.utterance_open
    opened = [decision.utterance for decision in world.made(do.StartSpeech)]
    closed = [decision.utterance for decision in world.made(*CLOSING)]
    assert opened == list(range(1, len(opened) + 1))
    assert closed == opened


@given(st.lists(steps, max_size=40))
@settings(max_examples=150, deadline=None)
def test_marks_come_in_an_order_that_the_recogniser_accepts(script: list[tuple]) -> None:
    world = World()
    play(world, script)
    open_number, paused = 0, False
    for _, decision in world.log:
        match decision:
            case do.StartSpeech(number):
                assert open_number == 0
                open_number, paused = number, False
            case do.PauseSpeech(number):
                assert (number, paused) == (open_number, False)
                paused = True
            case do.AskWords(number):
                assert (number, paused) == (open_number, False)
            case do.ResumeSpeech(number):
                assert (number, paused) == (open_number, True)
                paused = False
            case do.EndTurn() | do.UnclearTurn() | do.Discard() | do.FailTurn():
                assert decision.utterance == open_number
                open_number = 0
            case _:
                pass


@given(st.lists(steps, max_size=40))
@settings(max_examples=150, deadline=None)
def test_a_pause_is_followed_by_one_resume_or_stop_unless_the_agent_fell_silent(script: list[tuple]) -> None:
    world = World()
    paused_for = 0
    for step in script:
        before = len(world.log)
        play(world, [step])
        for _, decision in world.log[before:]:
            match decision:
                case do.PausePlayout(number):
                    assert not paused_for
                    paused_for = number
                case do.ResumePlayout():
                    assert paused_for
                    paused_for = 0
                case do.StopPlayout(number):
                    assert paused_for in (0, number)
                    paused_for = 0
                case _:
                    pass
        if step == ("agent", "idle"):
            paused_for = 0
    world.feed(on.HoldChanged(world.now_ms * MS, False))
    world.wait(30_000)
    resolved = any(isinstance(decision, do.ResumePlayout | do.StopPlayout) for _, decision in world.log[-8:])
    assert not paused_for or resolved


@given(st.lists(steps, max_size=40))
@settings(max_examples=80, deadline=None)
def test_the_same_signals_give_the_same_decisions(script: list[tuple]) -> None:
    first, second = World(), World()
    play(first, script)
    play(second, script)
    assert first.log == second.log


@given(st.lists(steps, max_size=40))
@settings(max_examples=80, deadline=None)
def test_a_speculation_is_committed_or_dropped_but_never_forgotten(script: list[tuple]) -> None:
    world = World()
    play(world, script)
    world.feed(on.HoldChanged(world.now_ms * MS, False))
    world.wait(30_000)
    holding = False
    for _, decision in world.log:
        match decision:
            case do.Speculate():
                holding = True
            case do.DropSpeculation() | do.EndTurn():
                holding = False
            case _:
                pass
    assert not holding
