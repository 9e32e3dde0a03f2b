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

from services.common.errors import TrunklineError
from services.common.log import get_logger
from services.common.personal import Personal
from services.orchestrator import events as ev
from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.call_context import Business, CallContext, Conversation
from services.orchestrator.dialogue.model import Expect
from services.orchestrator.dialogue.ports import Packet, Sayer, SpeechKind
from services.orchestrator.dialogue.session import Session
from services.orchestrator.media.leg import LegInfo
from services.orchestrator.questions import Questions
from services.orchestrator.turns import decisions as do
from services.orchestrator.turns.expectation import OPEN, Expectation, KeypadRule, Kind

log = get_logger(__name__)

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

    def keys_came(self, keys: Personal[str]) -> None:
        """Secret keys that the dialogue asked for: a turn like any other, and in no log."""
        ...

    def goodbye(self, reason: str, text: str = "") -> None:
        """Say so, then end the call."""
        ...

    def leave(self, reason: str) -> None:
        """End the call; what was to be said was said."""
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
        transfer: Callable[[str, str], None],
    ) -> None:
        """`transfer(target, reason)`: connect the caller to a person at that address."""
        self._ctx = ctx
        self._bundle = bundle
        self._questions = questions
        self._mouthpiece = mouthpiece
        self._transfer = transfer
        self._opened = asyncio.Event()
        self._conversation: Conversation | None = None
        self._waiting = 0
        # The goodbye is being said, and nobody spoke over it.
        self._ending = False

    @property
    def busy(self) -> bool:
        """The caller waits for something."""
        return self._waiting > 0

    # ---- the call's side

    def begin(self, business: Business, info: LegInfo) -> None:
        """Greet, and find out meanwhile who calls; or go on where another worker stopped."""
        self._run(self._open(business, info))

    async def _open(self, business: Business, info: LegInfo) -> None:
        try:
            self._conversation = await business.open(self._ctx, info, self)
        except TrunklineError as error:
            log.error("dialogue not begun", call_id=self._ctx.call_id, failed=type(error).__name__)
            self._mouthpiece.goodbye("database")
            return
        self._opened.set()
        await self._conversation.start()

    def prepare(self, text: str) -> None:
        """The turn has probably ended with `text`."""
        if self._conversation is not None:
            self._conversation.session.prepare(text)

    def drop(self) -> None:
        """It goes on."""
        if self._conversation is not None:
            self._conversation.session.unprepare()

    def said(self, turn: int, text: str, alternatives: Sequence[str], avg_logprob: float | None) -> None:
        """The caller's turn is over."""
        self._ending = False
        heard = min(1.0, math.exp(avg_logprob)) if avg_logprob is not None else 1.0
        self._run(self._with(lambda session: session.said(turn, text, alternatives, heard)))

    def keyed(self, turn: int, keys: Personal[str]) -> None:
        """Keys, and their end."""
        self._ending = False
        self._run(self._with(lambda session: session.keyed(turn, keys)))

    def interrupted(self) -> None:
        """The caller has the floor: what a model still writes is not wanted."""
        if self._conversation is not None:
            self._conversation.session.hush()

    def played(self, line: int, complete: bool) -> None:
        """A line ended: to its last word, or cut."""
        self._ending = self._ending and complete
        self._ctx.spawn(self._with(lambda session: session.played(line, complete)))

    async def call_back(self, reason: str) -> None:
        """Somebody is to call the caller. Raises TrunklineError."""
        if self._conversation is not None:
            await self._conversation.call_back(reason)

    async def close(self, *, cut: bool) -> None:
        """The call is over: reads are broken off, acts go on to their end. `cut`: it may be gone on with."""
        if self._conversation is not None:
            await self._conversation.end(cut=cut)

    async def _with(self, work: Callable[[Session], Coroutine[Any, Any, None]]) -> None:
        """What is said or heard before the dialogue is there waits for it."""
        await self._opened.wait()
        if self._conversation is not None:
            await work(self._conversation.session)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self._waiting += 1
        self._mouthpiece.thinking(True)
        self._ctx.spawn(self._until_idle(work))

    async def _until_idle(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
            if self._conversation is not None:
                await self._conversation.session.idle()
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
        target = self._bundle.agent.escalation.routes[route].target
        self._mouthpiece.after_lines(lambda: self._transfer(target, reason))

    def end(self) -> None:
        """The call, when the goodbye was heard."""
        self._ending = True
        self._mouthpiece.after_lines(self._leave)

    def _leave(self) -> None:
        if self._ending:
            self._mouthpiece.leave("done")

    def _keys_came(self, entered: do.KeysEntered) -> None:
        self._mouthpiece.keys_came(entered.keys)

    def _expectation(self, expect: Expect) -> Expectation:
        if expect.masked:
            return Expectation(
                "digits", expect.digits or 0, KeypadRule(expect.digits or _MOST_SECRET_KEYS, masked=True)
            )
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
