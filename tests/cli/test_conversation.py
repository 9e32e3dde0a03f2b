"""A caller that takes turns: the decision alone, then with a leg whose far end is a program."""

import numpy as np

from services.cli.caller import Pcm, Track
from services.cli.clips import Clip
from services.cli.conversation import Conversation, Floor, Line, Manners, Moment, plan_lines
from services.cli.measure import Utterance, hear_turns
from services.common.clock import VirtualClock
from tests.cli.signals import MS, burst

RATE = 8000
FRAME = 160
SILENT = np.zeros(FRAME, dtype=np.int16)
LOUD = burst(20, RATE)


def clip(ms: float = 600) -> Clip:
    return Clip("tone", "la", burst(ms, RATE), RATE)


class ScriptedLeg:
    """A `CallerLeg` in virtual time. The agent greets for 1 s and answers 300 ms after the caller, for `answer_ms`;
    it stops 100 ms after the caller interrupts, unless it is `deaf`."""

    transport = "sip"
    peer_reference = ""
    call_id = ""
    token = ""
    codec = "test"
    lost_packets = 0

    def __init__(self, clock: VirtualClock, answer_ms: float = 2000, deaf: bool = False, mute: bool = False) -> None:
        self.clock, self.answer_ms, self.deaf, self.mute = clock, answer_ms, deaf, mute
        self.sent, self.heard = Track(RATE), Track(RATE)
        self.ended = ""
        self._queue: list[Pcm] = []
        self._silent_ms, self._spoke_ms = 0.0, 0.0
        self._due = self._talk_until = 0
        if not mute:
            self._talk_until = 1000 * MS

    @property
    def playing(self) -> bool:
        return bool(self._queue)

    def play(self, pcm: Pcm) -> int:
        start = self.sent.samples
        padded = np.pad(pcm, (0, -len(pcm) % FRAME))
        self._queue = [padded[i : i + FRAME] for i in range(0, len(padded), FRAME)]
        return start

    async def progress(self) -> None:
        now = self.clock.now_ns()
        if self._queue:
            self.sent.add(self._queue.pop(0), now)
            self._spoke_ms += 20
            self._silent_ms = 0
            if self._spoke_ms >= 100 and not self.deaf:
                self._talk_until = min(self._talk_until, now)
            if not self._queue and not self.mute:
                self._due, self._spoke_ms = now + 300 * MS, 0
        if self._due and now >= self._due:
            self._due, self._talk_until = 0, now + int(self.answer_ms * MS)
        self.heard.add(LOUD if now < self._talk_until else SILENT, now)
        self.clock.advance_now_ms(20)

    async def hangup(self) -> None:
        self.ended = "local_hangup"


async def talk(leg: ScriptedLeg, lines: list[Line]) -> tuple[list[Utterance], list[Moment]]:
    moments: list[Moment] = []
    said = await Conversation(leg, leg.clock, Manners(), moments.append).run(lines)
    return said, moments


async def test_the_caller_waits_for_the_greeting_and_for_every_answer_to_end() -> None:
    leg = ScriptedLeg(VirtualClock())
    said, moments = await talk(leg, [Line(clip()), Line(clip())])
    turns = hear_turns(said, leg.sent, leg.heard)
    assert [t.outcome for t in turns] == ["answered", "answered"]
    assert all(t.barge_in_stop_ms is None for t in turns)
    assert [m.kind for m in moments][:4] == ["agent_speaks", "agent_done", "caller_speaks", "caller_done"]


async def test_an_interrupting_line_starts_while_the_agent_speaks_and_is_measured() -> None:
    leg = ScriptedLeg(VirtualClock(), answer_ms=5000)
    said, moments = await talk(leg, [Line(clip()), Line(clip(900), interrupt_after_ms=800)])
    turns = hear_turns(said, leg.sent, leg.heard)
    assert turns[1].barge_in
    assert turns[1].barge_in_stop_ms is not None
    assert 60 <= turns[1].barge_in_stop_ms <= 140
    assert any(m.interrupting for m in moments)


async def test_an_agent_that_says_nothing_does_not_hang_the_caller() -> None:
    leg = ScriptedLeg(VirtualClock(), mute=True)
    said, moments = await talk(leg, [Line(clip())])
    assert [t.outcome for t in hear_turns(said, leg.sent, leg.heard)] == ["unanswered"]
    assert [m.kind for m in moments if m.kind == "no_answer"] == ["no_answer", "no_answer"]


async def test_an_agent_that_never_stops_is_interrupted_when_patience_ends() -> None:
    leg = ScriptedLeg(VirtualClock(), answer_ms=120_000, deaf=True)
    said, _ = await talk(leg, [Line(clip()), Line(clip())])
    assert len(said) == 2
    assert leg.clock.now_ns() < 120_000 * MS


async def test_a_call_that_ends_ends_the_conversation() -> None:
    leg = ScriptedLeg(VirtualClock())
    leg.ended = "remote_bye"
    said, moments = await talk(leg, [Line(clip())])
    assert said == []
    assert moments == [Moment("ended", 0, "remote_bye")]


def test_one_loud_frame_is_a_click_and_silence_is_counted_from_the_last_loud_one() -> None:
    floor = Floor(RATE)
    floor.hear(LOUD, 0)
    floor.hear(SILENT, 20 * MS)
    assert not floor.spoke()
    for i in range(5):
        floor.hear(LOUD, (100 + 20 * i) * MS)
    assert floor.spoke()
    assert floor.silent_ms(480 * MS) == 300
    assert floor.spoken_ms(480 * MS) == 360


def test_lines_rotate_through_the_clips_and_every_kth_interrupts() -> None:
    clips = [Clip(str(i), "", LOUD, RATE) for i in range(3)]
    lines = plan_lines(clips, turns=7, barge_in_every=3, interrupt_after_ms=900, offset=1)
    assert [line.clip.name for line in lines] == ["1", "2", "0", "1", "2", "0", "1"]
    assert [line.interrupt_after_ms for line in lines] == [None, None, 900, None, None, 900, None]
    assert all(line.interrupt_after_ms is None for line in plan_lines(clips, 5, 0, 900, 0))
