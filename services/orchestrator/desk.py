"""Between a call and its dialogue: the caller's turns go in, what the dialogue decides to say and ask comes out.

    turn-taker ──► prepare, drop ─────────► Session: understanding begun on words that are probably all
               └─► said, keyed ───────────►          events, decisions, reads and acts
    Speaking   ◄── say, expect, hand_over ─┘
               └─► played: heard to its end, or cut

The agent asks nothing of a dialogue but this, and a dialogue nothing of a call but `Sayer`. An act that is under way
goes on whatever the caller does meanwhile, and after the call.
"""

import asyncio
import math
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from services.common.personal import Personal
from services.orchestrator import events as ev
from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.call_context import CallContext
from services.orchestrator.dialogue.model import Expect
from services.orchestrator.dialogue.ports import Packet, Sayer, SpeechKind
from services.orchestrator.dialogue.session import Session
from services.orchestrator.questions import Questions
from services.orchestrator.turns import decisions as do
from services.orchestrator.turns.expectation import OPEN, Expectation, KeypadRule, Kind

_KINDS: dict[str, Kind] = {
    "digits": "digits",
    "phone": "digits",
    "iban": "spelling",
    "spelling": "spelling",
    "postcode": "spelling",
    "money": "amount",
    "date": "date",
    "enum": "choice",
    "ref": "choice",
    "yes_no": "yes_no",
}
# A PIN that nobody named the length of.
_MOST_SECRET_KEYS = 12


class Mouthpiece(Protocol):
    """The agent, as the desk uses it."""

    def say_line(self, line: int, text: str, *, patience: bool, protected: bool) -> None:
        """Say it after what is being said; its end comes back by `Desk.played`."""
        ...

    def thinking(self, on: bool) -> None:
        """Something is under way that the caller waits for."""
        ...

    def after_lines(self, then: Callable[[], None]) -> None:
        """Once all that is to be said has been said, or cut."""
        ...


class Desk(Sayer):
    """One per call. Everything the call asks is synchronous; the session runs in tasks."""

    def __init__(
        self,
        ctx: CallContext,
        bundle: Bundle,
        questions: Questions,
        mouthpiece: Mouthpiece,
        transfer: Callable[[str, str, Packet], None],
        session_of: Callable[[Sayer], Session],
    ) -> None:
        """`transfer(route, reason, packet)`: connect the caller to a person."""
        self._ctx = ctx
        self._bundle = bundle
        self._questions = questions
        self._mouthpiece = mouthpiece
        self._transfer = transfer
        self._session = session_of(self)
        self._waiting = 0
        self._resumes = False

    @property
    def busy(self) -> bool:
        """The caller waits for something."""
        return self._waiting > 0

    # ---- the call's side

    def begin(self) -> None:
        """Greet, and find out meanwhile who calls; or go on where another worker stopped."""
        self._run(self._session.begin())

    def prepare(self, text: str) -> None:
        """The turn has probably ended with `text`."""
        self._session.prepare(text)

    def drop(self) -> None:
        """It goes on."""
        self._session.unprepare()

    def said(self, turn: int, text: str, alternatives: Sequence[str], avg_logprob: float | None) -> None:
        """The caller's turn is over."""
        heard = min(1.0, math.exp(avg_logprob)) if avg_logprob is not None else 1.0
        self._run(self._session.said(turn, text, alternatives, heard))

    def keyed(self, turn: int, keys: Personal[str]) -> None:
        """Keys, and their end."""
        self._run(self._session.keyed(turn, keys))

    def played(self, line: int, complete: bool) -> None:
        """A line ended: to its last word, or cut."""
        self._ctx.spawn(self._session.played(line, complete))

    def close(self) -> "asyncio.Task[None]":
        """The call is over: reads are broken off, acts go on to their end."""
        return asyncio.get_running_loop().create_task(self._session.close(), name="dialogue closes")

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self._waiting += 1
        self._mouthpiece.thinking(True)
        self._ctx.spawn(self._until_idle(work))

    async def _until_idle(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
            await self._session.idle()
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._mouthpiece.thinking(False)

    # ---- Sayer

    def say(self, speech: int, text: str, *, kind: SpeechKind, protected: bool) -> None:
        """To the agent's voice."""
        self._mouthpiece.say_line(speech, text, patience=kind == "filler", protected=protected)

    def expect(self, expect: Expect) -> None:
        """To turn-taking and the keypad: what kind of answer, how long, by keys, secret."""
        expectation = self._expectation(expect)
        if expect.masked:
            self._questions.collect(expectation, self._keys_came)
        else:
            self._questions.expect(expectation)

    def hand_over(self, route: str, reason: str, packet: Packet) -> None:
        """To a person, when what is to be said before has been said."""
        self._ctx.log(ev.HandoverAsked(at_ns=self._ctx.clock.now_ns(), route=route, reason=reason))
        self._mouthpiece.after_lines(lambda: self._transfer(route, reason, packet))

    def _keys_came(self, entered: do.KeysEntered) -> None:
        self.keyed(self._session.dialogue.state.turn + 1, entered.keys)

    def _expectation(self, expect: Expect) -> Expectation:
        if expect.masked:
            return Expectation("digits", expect.digits or 0, KeypadRule(expect.digits or _MOST_SECRET_KEYS, masked=True))
        if expect.yes_no:
            return Expectation("yes_no")
        slot = self._bundle.slots.get(expect.slot)
        if slot is None:
            return OPEN
        length = expect.digits or slot.length or 0
        keypad = KeypadRule(length or 20) if expect.keys else None
        # A record is named by digits as often as by words: with keys it has a length, without it is a choice.
        kind = "digits" if expect.keys and length else _KINDS.get(slot.type, "open")
        return Expectation(kind, length, keypad)
