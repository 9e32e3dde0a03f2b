"""How a test caller takes turns: it waits until the agent is silent, speaks, waits for the answer; or interrupts.

`Floor` is the decision, without I/O: fed with what is heard, it says whether the agent speaks. `converse` moves a
leg by it. Neither measures anything: that is done afterwards from the tracks (`measure`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from services.cli.caller import CallerLeg, Pcm
from services.cli.clips import Clip
from services.cli.measure import AsideKind, Utterance, dbfs
from services.common.clock import Clock

# A frame of 20 ms louder than this is the agent speaking: above comfort noise, below any word.
_LOUD_DBFS = -45.0
# As many loud frames in a row begin speech: a click is one.
_ONSET_FRAMES = 2
# An agent that was disturbed may be silent while it decides: the caller gives it this much longer before it goes on.
_AFTER_ASIDE_MS = 1500
# Silent for longer than this, the agent is no longer in the middle of its answer.
_MID_ANSWER_MS = 300


@dataclass(frozen=True, slots=True)
class Manners:
    """Deadlines and gaps of a caller, ms."""

    # No greeting by then: the caller speaks anyway.
    greeting_deadline_ms: int = 8000
    # Silence after which the agent has finished (longer than its pauses between clauses).
    agent_done_ms: int = 900
    # No answer by then: the caller goes on with the next line.
    answer_deadline_ms: int = 15_000
    # An agent that talks longer than this is interrupted by the next line.
    patience_ms: int = 25_000


@dataclass(frozen=True, slots=True)
class Aside:
    """A cough or an "mhm" that the caller makes `after_ms` into the agent's answer, without wanting the floor."""

    kind: AsideKind
    clip: Clip
    after_ms: int


@dataclass(frozen=True, slots=True)
class Line:
    """What the caller says next; with `interrupt_after_ms`, that long into the agent's answer to the line before.

    `gap_ms`: the longest pause inside the clip, put there on purpose. `aside`: during the answer to this line.
    """

    clip: Clip
    interrupt_after_ms: int | None = None
    gap_ms: int = 0
    aside: Aside | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """For the terminal: something happened in the call."""

    kind: Literal["caller_speaks", "caller_done", "agent_speaks", "agent_done", "no_answer", "ended"]
    turn: int
    text: str = ""
    interrupting: bool = False


class Floor:
    """Whether the agent speaks, by level, from frames of any length."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._loud_run = 0
        self.speaking_since_ns: int | None = None
        self.last_loud_ns: int | None = None

    def hear(self, pcm: Pcm, at_ns: int) -> None:
        """One received chunk."""
        if dbfs(pcm) <= _LOUD_DBFS:
            self._loud_run = 0
            return
        self._loud_run += 1
        if self._loud_run >= _ONSET_FRAMES:
            if self.speaking_since_ns is None:
                self.speaking_since_ns = at_ns
            self.last_loud_ns = at_ns

    def reset(self) -> None:
        """Forget what was heard: wait for something new."""
        self._loud_run = 0
        self.speaking_since_ns = None
        self.last_loud_ns = None

    def spoke(self) -> bool:
        """The agent has spoken since the last reset."""
        return self.speaking_since_ns is not None

    def spoken_ms(self, now_ns: int) -> float:
        """How long ago it began to speak; 0 when it has not."""
        return 0.0 if self.speaking_since_ns is None else (now_ns - self.speaking_since_ns) / 1e6

    def silent_ms(self, now_ns: int) -> float:
        """How long it has been silent after having spoken; 0 when it has not spoken."""
        return 0.0 if self.last_loud_ns is None else (now_ns - self.last_loud_ns) / 1e6


Tell = Callable[[Moment], None]


class Conversation:
    """One call's talk. `run` returns what was said; the leg's tracks hold the rest."""

    def __init__(self, leg: CallerLeg, clock: Clock, manners: Manners, tell: Tell = lambda _: None) -> None:
        self._leg = leg
        self._clock = clock
        self._manners = manners
        self._tell = tell
        self._floor = Floor(leg.heard.rate_hz)
        self._fed = 0
        self._patience_ms = 0
        # The sounds made beside the talk, with the turn in whose answer they fell.
        self.asides: list[Utterance] = []

    async def run(self, lines: Sequence[Line]) -> list[Utterance]:
        """Say every line; ends early when the call does."""
        said: list[Utterance] = []
        await self._listen(turn=0, deadline_ms=self._manners.greeting_deadline_ms, until=self._agent_done)
        for index, line in enumerate(lines):
            if self._leg.ended:
                break
            following = lines[index + 1] if index + 1 < len(lines) else None
            said.append(await self._say(line, turn=index + 1))
            await self._hear_answer(index + 1, line, following)
        if self._leg.ended:
            self._tell(Moment("ended", len(said), self._leg.ended))
        return said

    async def _say(self, line: Line, turn: int) -> Utterance:
        interrupting = line.interrupt_after_ms is not None
        self._tell(Moment("caller_speaks", turn, line.clip.text, interrupting))
        clip = line.clip.at(self._leg.sent.rate_hz)
        start = self._leg.play(clip.pcm)
        while self._leg.playing and not self._leg.ended:
            await self._moved()
        # What was heard up to here answers an earlier line.
        self._floor.reset()
        self._tell(Moment("caller_done", turn))
        return Utterance(turn, start, start + len(clip.pcm), interrupting)

    async def _hear_answer(self, turn: int, line: Line, following: Line | None) -> None:
        self._patience_ms = 0
        if line.aside is not None:
            await self._beside(turn, line.aside)
        wait_ms = following.interrupt_after_ms if following else None
        done = self._agent_done if wait_ms is None else (lambda: self._floor.spoken_ms(self._clock.now_ns()) >= wait_ms)
        await self._listen(turn, self._manners.answer_deadline_ms, done)

    async def _beside(self, turn: int, aside: Aside) -> None:
        """Make a sound in the middle of the answer; what is heard goes on counting for the same answer."""

        def now_or_never() -> bool:
            return self._floor.spoken_ms(self._clock.now_ns()) >= aside.after_ms or self._agent_done()

        await self._listen(turn, self._manners.answer_deadline_ms, now_or_never)
        if not self._floor.spoke() or self._floor.silent_ms(self._clock.now_ns()) > _MID_ANSWER_MS:
            return
        clip = aside.clip.at(self._leg.sent.rate_hz)
        start = self._leg.play(clip.pcm)
        while self._leg.playing and not self._leg.ended:
            await self._moved()
        self.asides.append(Utterance(turn, start, start + len(clip.pcm), aside=aside.kind))
        self._patience_ms = _AFTER_ASIDE_MS

    def _agent_done(self) -> bool:
        return self._floor.silent_ms(self._clock.now_ns()) >= self._manners.agent_done_ms + self._patience_ms

    async def _listen(self, turn: int, deadline_ms: int, until: Callable[[], bool]) -> None:
        """Wait for the agent to begin (up to the deadline) and then for `until` (up to the caller's patience)."""
        start_ns = self._clock.now_ns()
        began = False
        while not self._leg.ended:
            now_ns = self._clock.now_ns()
            if self._floor.spoke() and not began:
                began = True
                self._tell(Moment("agent_speaks", turn))
            if began and until():
                self._tell(Moment("agent_done", turn))
                return
            if began and self._floor.spoken_ms(now_ns) > self._manners.patience_ms:
                return
            if not began and (now_ns - start_ns) / 1e6 > deadline_ms:
                self._tell(Moment("no_answer", turn))
                return
            await self._moved()

    async def _moved(self) -> None:
        await self._leg.progress()
        heard = self._leg.heard
        for chunk in heard.from_chunk(self._fed):
            self._floor.hear(chunk.pcm, chunk.at_ns)
            self._fed += 1


def plan_lines(
    clips: Sequence[Clip], turns: int, barge_in_every: int, interrupt_after_ms: int, offset: int
) -> list[Line]:
    """`turns` lines from `clips` in turn, beginning at `offset`; every `barge_in_every`-th interrupts (0: none)."""
    lines = []
    for turn in range(1, turns + 1):
        barge_in = barge_in_every > 0 and turn > 1 and turn % barge_in_every == 0
        clip = clips[(offset + turn - 1) % len(clips)]
        lines.append(Line(clip, interrupt_after_ms if barge_in else None))
    return lines
