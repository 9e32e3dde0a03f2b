"""One call of a caller that listens: hear the agent out, decide, speak or key, until one side is done."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from services.cli.caller import CallerLeg
from services.cli.clips import Clip
from services.cli.conversation import Manners
from services.cli.measure import TurnHeard, Utterance, hear_turns
from services.cli.talker.acts import Caller, HangUp, Key, Listen, Say
from services.cli.talker.ears import Ears
from services.common.clock import Clock
from services.common.personal import Personal

# A key and the gap after it, as the worker sends them.
KEY_MS = 200
MOST_TURNS = 40
# So long one waits for a "goodbye" in return.
LAST_WORD_MS = 2_500
MANNERS = Manners(greeting_deadline_ms=10_000, agent_done_ms=900, answer_deadline_ms=15_000, patience_ms=25_000)


class TalkingLeg(CallerLeg, Protocol):
    """A leg that has a keypad."""

    async def send_keys(self, keys: Personal[str]) -> None:
        """Press them, one after the other; returns at once."""
        ...


@dataclass(frozen=True, slots=True)
class Exchange:
    """One turn: what the caller said (or how many `keys` it pressed) and what it heard then. Turn 0: the greeting."""

    turn: int
    said: str = ""
    keys: int = 0
    utterance: Utterance | None = None
    heard: str = ""
    timed: TurnHeard | None = None

    @property
    def voice_to_voice_ms(self) -> float | None:
        """From the end of what was said to the agent's first speech, both as they passed the caller."""
        return self.timed.voice_to_voice_ms if self.timed else None


@dataclass(frozen=True, slots=True)
class Talk:
    """How it went. `why`: empty when the caller got to its end."""

    exchanges: tuple[Exchange, ...]
    why: str


Speaks = Callable[[str], Awaitable[Clip]]
Tell = Callable[[Literal["said", "heard"], Exchange], None]


@dataclass(slots=True)
class Talker:
    """`speaks` makes clips of lines; `tell` hears of each exchange twice: when it is said, and with what came."""

    leg: TalkingLeg
    ears: Ears
    clock: Clock
    speaks: Speaks
    manners: Manners = MANNERS
    tell: Tell = lambda _side, _exchange: None
    _exchanges: list[Exchange] = field(default_factory=lambda: [Exchange(0)])

    async def talk(self, caller: Caller) -> Talk:
        """Until the caller hangs up, or the agent does. Raises UnavailableError, DeadlineError."""
        why = "too many turns"
        deadline_ms = self.manners.greeting_deadline_ms
        heard_so_far = ""
        while len(self._exchanges) <= MOST_TURNS:
            heard = await self.ears.listen(deadline_ms)
            heard_so_far = f"{heard_so_far} {heard.words}".strip()
            act = caller.next(heard_so_far if heard.came else "")
            deadline_ms = self.manners.answer_deadline_ms
            if isinstance(act, Listen) and not self.leg.ended:
                self.ears.forget()
                continue
            self._heard(heard_so_far)
            heard_so_far = ""
            if isinstance(act, HangUp):
                why = act.why
                break
            if self.leg.ended:
                why = f"the call ended: {self.leg.ended}"
                break
            if isinstance(act, Say):
                deadline_ms = LAST_WORD_MS if act.last else deadline_ms
                await self._say(act.text)
            elif isinstance(act, Key):
                await self._key(act.keys)
        if not self.leg.ended:
            await self.leg.hangup()
        return Talk(tuple(self._timed()), why)

    def _heard(self, words: str) -> None:
        self._exchanges[-1] = replace(self._exchanges[-1], heard=words)
        self.tell("heard", self._exchanges[-1])

    async def _say(self, text: str) -> None:
        clip = (await self.speaks(text)).at(self.leg.sent.rate_hz)
        start = self.leg.play(clip.pcm)
        turn = len(self._exchanges)
        self._exchanges.append(Exchange(turn, text, utterance=Utterance(turn, start, start + len(clip.pcm))))
        self.tell("said", self._exchanges[-1])
        while self.leg.playing and not self.leg.ended:
            await self.ears.moved()
        self.ears.forget()

    async def _key(self, keys: Personal[str]) -> None:
        self._exchanges.append(Exchange(len(self._exchanges), keys=len(keys.reveal())))
        self.tell("said", self._exchanges[-1])
        self.ears.forget()
        until_ns = self.clock.now_ns() + len(keys.reveal()) * KEY_MS * 1_000_000
        await self.leg.send_keys(keys)
        while self.clock.now_ns() < until_ns and not self.leg.ended:
            await self.ears.moved()

    def _timed(self) -> list[Exchange]:
        said = [one.utterance for one in self._exchanges if one.utterance is not None]
        if not said or not self.leg.heard.samples:
            return list(self._exchanges)
        timed = {one.turn: one for one in hear_turns(said, self.leg.sent, self.leg.heard)}
        return [replace(one, timed=timed.get(one.turn)) for one in self._exchanges]
