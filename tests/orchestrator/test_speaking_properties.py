"""The agent's voice under any order of events, on virtual time: what the log says was heard is what left on the wire.

The wire is a fake of a leg (60 ms queue, reports once a tick); every sample says which word of which speech it belongs
to, so that what left can be read from it.
"""

from collections import deque
from typing import Any, cast

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.clock import VirtualClock
from services.common.settings import load_settings
from services.orchestrator import events as ev
from services.orchestrator.call_context import CallContext
from services.orchestrator.event_log import EventLog
from services.orchestrator.media.leg import Leg, LegFormat, Playout
from services.orchestrator.media.mouth import Mouth
from services.orchestrator.media.playout import SpokenWord, Utterance
from services.orchestrator.speaking import Speaking
from services.orchestrator.speeches import Kind, Speech
from services.orchestrator.turns import signals as on

RATE = 8_000
FRAME = RATE // 50
WORD = RATE // 10
SETTINGS = load_settings(env={})


class Wire:
    """What left, in order; at most three frames wait."""

    def __init__(self) -> None:
        self.queue: deque[bytes] = deque()
        self.left: list[int] = []

    def play(self, frame: bytes) -> None:
        assert len(self.queue) < 3
        self.queue.append(frame)

    def clear(self) -> None:
        self.queue.clear()

    def tick(self) -> Playout:
        if self.queue:
            self.left += np.frombuffer(self.queue.popleft(), dtype="<i2").tolist()
        return Playout(len(self.left), len(self.queue) * FRAME, 0)


class World:
    """`Speaking` on the wire, and what it told."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.log = EventLog()
        self.wire = Wire()
        self.told: list[on.Signal] = []
        self.over: list[tuple[Speech, str]] = []
        self.begun: list[Speech] = []
        spawn: Any = None
        ctx = CallContext("c", self.clock, SETTINGS, cast("Any", None), self.log, spawn)
        fmt = LegFormat("pcmu", RATE, RATE)
        leg = cast("Leg", self.wire)
        self.speaking = Speaking(
            ctx,
            lambda sink: Mouth(leg, fmt, 60, sink),
            self.told.append,
            lambda speech: None,
            lambda speech, heard: self.over.append((speech, heard)),
        )

    def begin(self, kind: Kind, words: int, *, protected: bool = False, audio: int | None = None) -> Speech:
        """A speech of so many words, of which `audio` have audio already (None: all, and it is finished)."""
        number = len(self.begun) + 1
        utterance = Utterance(number, RATE, " ".join(f"w{number}x{n}" for n in range(words)))
        speech = Speech(number, kind, utterance, protected=protected)
        self.begun.append(speech)
        self.add(speech, words if audio is None else audio)
        utterance.finished = audio is None
        self.speaking.begin(speech, first=kind == "filler")
        return speech

    def add(self, speech: Speech, words: int) -> None:
        """More words have audio."""
        utterance = speech.utterance
        all_words = utterance.text.split()
        for _ in range(words):
            n = len(utterance.words)
            if n == len(all_words):
                break
            at = len(" ".join(all_words[:n])) + (n > 0)
            start = n * WORD
            utterance.words.append(SpokenWord(at, at + len(all_words[n]), start, start + WORD))
            value = np.int16(utterance.turn * 100 + n + 1)
            utterance.audio += np.full(WORD, value, dtype="<i2").tobytes()

    def finish(self, speech: Speech) -> None:
        self.add(speech, 1000)
        speech.utterance.finished = True
        self.speaking.progress(speech)

    def settle(self) -> None:
        """Until nothing is left to say, ten seconds at most."""
        for _ in range(500):
            if self.speaking.current is None:
                break
            self.tick()
        self.tick(5)

    def tick(self, count: int = 1) -> None:
        for _ in range(count):
            self.clock._now_ns += 20_000_000
            self.speaking.on_playout(self.wire.tick(), self.clock.now_ns())
            self.speaking.tick(self.clock.now_ns())

    def words_on_wire(self, speech: Speech) -> list[int]:
        """Word numbers of which at least half left."""
        counts = np.bincount(np.array(self.wire.left, dtype=np.int64), minlength=speech.utterance.turn * 100 + 100)
        first = speech.utterance.turn * 100 + 1
        return [n for n in range(len(speech.utterance.words)) if counts[first + n] >= WORD / 2]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("tick"), st.integers(1, 12)),
        st.tuples(st.just("greet"), st.integers(1, 6)),
        st.tuples(st.just("legal"), st.integers(1, 6)),
        st.tuples(st.just("reply"), st.integers(1, 8)),
        st.tuples(st.just("filler"), st.integers(1, 4)),
        st.tuples(st.just("audio"), st.integers(1, 3)),
        st.tuples(st.just("finish"), st.just(0)),
        st.tuples(st.just("pause"), st.just(0)),
        st.tuples(st.just("resume"), st.just(0)),
        st.tuples(st.just("stop"), st.just(0)),
        st.tuples(st.just("caller spoke"), st.just(0)),
    ),
    max_size=40,
)


def run(world: World, steps: list[tuple[str, int]]) -> None:
    open_replies: list[Speech] = []
    for step, n in steps:
        speaking, now_ns = world.speaking, world.clock.now_ns()
        match step:
            case "tick":
                world.tick(n)
            case "greet":
                world.begin("greeting", n)
            case "legal":
                world.begin("disclosure", n, protected=True)
            case "reply":
                open_replies.append(world.begin("reply", n, audio=0))
            case "filler":
                current = speaking.current
                if current is not None and not current.must_finish and not current.utterance.samples:
                    world.begin("filler", n)
            case "audio":
                for speech in [s for s in open_replies if speaking.waits(s)][:1]:
                    world.add(speech, n)
                    speaking.progress(speech)
            case "finish":
                for speech in [s for s in open_replies if speaking.waits(s)]:
                    world.finish(speech)
            case "pause":
                speaking.pause(now_ns)
            case "resume":
                speaking.resume("short sound")
            case "stop":
                speaking.floor_taken(now_ns, "speech")
            case _:
                speaking.forget_overtaken()
    # The caller is silent from here on: everything that is owed is said, everything that waits is finished.
    world.speaking.resume("short sound")
    world.tick(3)
    for speech in world.speaking.take_owed():
        world.speaking.begin(speech)
    for speech in [s for s in open_replies if world.speaking.waits(s)]:
        world.finish(speech)
    world.settle()


@settings(deadline=None, max_examples=60)
@given(STEPS)
def test_what_is_told_as_heard_is_what_left_and_the_voice_never_gets_stuck(steps: list[tuple[str, int]]) -> None:
    world = World()
    run(world, steps)
    assert world.speaking.current is None
    last = [signal for signal in world.told if isinstance(signal, on.AgentChanged)]
    assert not last or last[-1].phase == "idle"
    for speech, heard in world.over:
        words = heard.split()
        assert speech.utterance.text.startswith(heard) or speech.kind == "filler"
        assert len(words) == len(world.words_on_wire(speech)), (speech.kind, heard)
    # Nothing is over twice, and nothing left of what was never told as heard.
    assert len({id(speech) for speech, _ in world.over}) == len(world.over)
    told = {id(speech) for speech, _ in world.over}
    assert all(not world.words_on_wire(speech) for speech in world.begun if id(speech) not in told)


@settings(deadline=None, max_examples=60)
@given(STEPS)
def test_protected_speech_is_heard_to_its_last_word_whatever_happens(steps: list[tuple[str, int]]) -> None:
    world = World()
    run(world, steps)
    heard = {id(speech): text for speech, text in world.over}
    for speech in world.begun:
        if speech.protected:
            assert heard[id(speech)] == speech.utterance.text
            assert len(world.words_on_wire(speech)) == len(speech.utterance.words)
    cut = [event for event in world.log.snapshot() if isinstance(event, ev.BargeIn)]
    assert not {event.turn for event in cut} & {s.turn for s in world.begun if s.protected}


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 30), st.integers(2, 6))
def test_a_filler_never_holds_the_answer_longer_than_a_word(ticks: int, words: int) -> None:
    world = World()
    reply = world.begin("reply", 3, audio=0)
    world.begin("filler", words)
    world.tick(ticks)
    filler_left = len(world.wire.left)
    world.finish(reply)
    world.settle()
    answer = reply.utterance.turn * 100 + 1
    first = world.wire.left.index(answer)
    # A word, and what had been committed to the wire.
    assert first - filler_left <= WORD + 3 * FRAME
    assert world.words_on_wire(reply) == [0, 1, 2]
