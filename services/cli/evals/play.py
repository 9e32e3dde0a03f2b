"""One conversation from first to last: a caller, a recogniser, the agent; every word goes into a transcript.

    agent says … ──► caller hears, decides ──► recogniser ──► understanding ──► agent

A sentence counts as heard to its end once the caller has not spoken over it; only then is that said to the agent. The
last one is therefore reported after the caller has decided.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from services.cli.evals.callers import Caller
from services.cli.evals.noise import Heard, Recogniser
from services.cli.evals.transcript import Asked, Given, Over, Spoken, Transcript
from services.common.errors import TrunklineError

# A pause in which the caller says nothing, on the conversation's clock.
SILENCE_MS = 6_000
# What a turn takes on it: the agent's sentences and the caller's.
TURN_MS = 4_000
MOST_TURNS = 40
SILENCES = 3


@dataclass(frozen=True, slots=True)
class Sentence:
    """What the agent says, and its number for `played`."""

    speech: int
    prompt: str
    text: str


@dataclass(frozen=True, slots=True)
class Reaction:
    """What the agent does after something happened, until it waits for the caller (or hands over)."""

    sentences: Sequence[Sentence] = ()
    slot: str = ""
    yes_no: bool = False
    keys: bool = False
    code: bool = False
    goal: bool = False
    handover: tuple[str, str] | None = None
    # "open": waits for anything; "ended": the agent hangs up after its last sentence.
    state: Literal["open", "ended"] = "open"


class Agent(Protocol):
    """The runtime under test, as a line would drive it."""

    async def begin(self) -> Reaction:
        """The call is up."""
        ...

    async def said(self, turn: int, heard: Heard) -> Reaction:
        """A turn of the caller's."""
        ...

    async def keyed(self, turn: int, keys: str) -> Reaction:
        """Keys, for what was asked by keys."""
        ...

    async def played(self, speech: int, complete: bool) -> None:
        """A sentence went out to its end, or was cut off."""
        ...

    async def hang_up(self) -> None:
        """The caller is gone; what was begun is finished."""
        ...


@dataclass(slots=True)
class Conversation:
    """Everything one conversation needs. `done`: acts in the books by kind, now; `wait_ms` moves the clock."""

    agent: Agent
    caller: Caller
    recogniser: Recogniser
    transcript: Transcript
    done: Callable[[], Awaitable[Counter[str]]]
    claims: Callable[[str], bool]
    wait_ms: Callable[[float], Awaitable[None]]
    on_turn: Callable[[int], Awaitable[None]]
    turn: int = 0
    _last: Reaction = field(default_factory=Reaction)
    _silences: int = 0

    async def play(self) -> Transcript:
        """To the end. What breaks in the agent ends it as `broken`, with the error's sentence."""
        try:
            await self._play()
        except TrunklineError as error:
            self._over("broken", f"{type(error).__name__}: {error}")
        return self.transcript

    async def _play(self) -> None:
        await self.on_turn(0)
        await self._take(await self.agent.begin())
        given = self.caller.open()
        while self.turn < MOST_TURNS:
            await self._finish_speaking(cut=given.over)
            if given.say or given.keys:
                self.turn += 1
                await self.on_turn(self.turn)
                await self._take(await self._give(given))
            elif not given.hang_up:
                await self._say_nothing()
            if given.hang_up or self._silences >= SILENCES:
                await self._finish_speaking(cut=given.hang_up)
                await self.agent.hang_up()
                self._over("hung_up")
                return
            if self._last.handover is not None:
                await self._finish_speaking(cut=False)
                route, reason = self._last.handover
                self.transcript.over = Over("handed_over", reason, route, self.turn)
                return
            if self._last.state == "ended":
                await self._finish_speaking(cut=False)
                await self.agent.hang_up()
                self._over("hung_up", "by the agent")
                return
            await self.wait_ms(TURN_MS)
            given = self.caller.answer(self._asked())
        await self.agent.hang_up()
        self._over("stuck", f"after {MOST_TURNS} turns")

    async def _give(self, given: Given) -> Reaction:
        self._silences = 0
        if given.keys:
            self.transcript.spoken.append(Spoken(self.turn, "caller", "", keys=given.keys))
            return await self.agent.keyed(self.turn, given.keys)
        heard = self.recogniser.hear(given.say)
        self.transcript.spoken.append(
            Spoken(
                self.turn, "caller", given.say, heard=heard.text, confidence=heard.confidence, notes=heard.confusions
            )
        )
        if not heard.text:
            return self._last
        return await self.agent.said(self.turn, heard)

    async def _say_nothing(self) -> None:
        self._silences += 1
        await self.wait_ms(SILENCE_MS)

    async def _take(self, reaction: Reaction) -> None:
        """Note what the agent says; all but the last sentence are out by the time anybody can answer."""
        for sentence in reaction.sentences:
            await self._finish_speaking(cut=False)
            done = await self.done() if self.claims(sentence.text) else None
            self.transcript.spoken.append(
                Spoken(self.turn, "agent", sentence.text, prompt=sentence.prompt, done=done, speech=sentence.speech)
            )
        self._last = reaction

    async def _finish_speaking(self, *, cut: bool) -> None:
        """The sentence that is being said ends."""
        last = self.transcript.spoken[-1] if self.transcript.spoken else None
        if last is None or last.who != "agent" or last.complete is not None:
            return
        self.transcript.spoken[-1] = last.ended(complete=not cut)
        await self.agent.played(last.speech, not cut)

    def _asked(self) -> Asked:
        said: list[Spoken] = []
        for one in reversed(self.transcript.spoken):
            if one.who == "caller":
                break
            said.append(one)
        last = self._last
        return Asked(
            self.turn, tuple(reversed(said)), last.slot, last.yes_no, last.keys, code=last.code, goal=last.goal
        )

    def _over(self, how: Literal["hung_up", "stuck", "broken"], reason: str = "") -> None:
        self.transcript.over = Over(how, reason, turns=self.turn)
