"""What makes the calls of one bundle version act: understanding, control and a dialogue that outlives the worker.

A caller who was cut off and calls again within RESUME_S goes on where the dialogue stopped, with nothing asked twice.
A number can be forged, so that what a secret had unlocked is locked again; a read-back is read again.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.common.clock import Clock, sleep_s
from services.common.errors import TrunklineError
from services.common.log import get_logger
from services.common.personal import Personal
from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.call_context import CallContext
from services.orchestrator.clients.embed import EmbedClient
from services.orchestrator.clients.llm import LlmClient
from services.orchestrator.control.facade import ControlLayer
from services.orchestrator.control.facts import Caller
from services.orchestrator.control.identity import BY_NUMBER
from services.orchestrator.control.worker import ControlWorker
from services.orchestrator.dialogue.history import Message
from services.orchestrator.dialogue.manager import Dialogue
from services.orchestrator.dialogue.model import Legal, Understood
from services.orchestrator.dialogue.ports import Sayer, StateStore, Understander
from services.orchestrator.dialogue.session import Session
from services.orchestrator.dialogue.state import DialogueState
from services.orchestrator.dialogue.understanding.prompt import prefix
from services.orchestrator.dialogue.understanding.understander import ModelUnderstander, learn
from services.orchestrator.door import Door
from services.orchestrator.media.leg import LegInfo
from services.orchestrator.store.call_keys import KnownCaller
from services.orchestrator.store.callbacks import CallbackStore
from services.orchestrator.store.dialogue import DialogueStore

log = get_logger(__name__)

RESUME_S = 600.0
READ_AHEAD_TRIES = 8
_NUMBER = re.compile(r"sips?:(\+?[0-9]{3,20})[@;>]|tel:(\+?[0-9]{3,20})")


@dataclass(frozen=True, slots=True)
class Office:
    """What all calls of a worker that act share."""

    control: ControlWorker
    dialogues: DialogueStore
    callbacks: CallbackStore
    model: LlmClient
    embedder: EmbedClient
    clock: Clock

    async def business(self, bundle: Bundle, locale: str) -> "BundleBusiness":
        """Make a version ready for calls: the fixed part of its prompt is read, its phrases are embedded.

        Raises TrunklineError when the model service cannot be reached for that; nothing is ready by halves.
        """
        await self._read_ahead(prefix(bundle, locale))
        knowledge = await learn(bundle, locale, self.embedder)

        def understander(call_id: str) -> ModelUnderstander:
            return ModelUnderstander(
                knowledge, call_id, self.model, self.embedder, self.clock, lambda: self.clock.wall().date()
            )

        return BundleBusiness(bundle, locale, self, understander)

    async def _read_ahead(self, messages: Sequence[Message]) -> None:
        """A long prompt takes a small machine longer than one request may; each try goes on where the last ended."""
        for _ in range(READ_AHEAD_TRIES - 1):
            try:
                return await self.model.warm("", messages)
            except TrunklineError as error:
                log.info("the model reads the agent's prompt", waiting=type(error).__name__)
                await sleep_s(self.clock, 1.0)
        return await self.model.warm("", messages)


class BundleBusiness:
    """One per version and worker (call_context.Business). `understander(call_id)` makes that of one call."""

    def __init__(
        self, bundle: Bundle, locale: str, office: Office, understander: Callable[[str], Understander]
    ) -> None:
        self.bundle = bundle
        self._locale = locale
        self._office = office
        self._understander = understander

    async def open(self, ctx: CallContext, info: LegInfo, sayer: Sayer) -> "BundleConversation":
        """Raises TrunklineError when the database is away."""
        number = calling_number(info)
        state, store, dialogue_id = await self._state(ctx.call_id, number)
        caller = Caller(ani=number.reveal(), locale=self._locale, transport=info.transport)
        layer = self._office.control.call(self.bundle, dialogue_id, caller, self._locale)

        dialogue = Dialogue(self.bundle, self._locale, state)
        understander = _Timed(self._understander(ctx.call_id), ctx)
        session = Session(
            dialogue, understander, Door(layer, ctx, lambda: dialogue.state.turn), store, sayer, ctx.clock
        )
        return BundleConversation(session, layer, self._office, dialogue_id, number, resumed=state is not None)

    async def _state(self, call_id: str, number: Personal[str]) -> tuple[DialogueState | None, StateStore, str]:
        """Of a call that was cut off, to go on with; else none, and a new place to store it."""
        dialogues = self._office.dialogues
        waiting = await dialogues.waiting(number, RESUME_S)
        taken = await dialogues.take(waiting) if waiting is not None else None
        if taken is not None and waiting is not None:
            stored, writer = taken
            if (stored.agent_digest, stored.locale) == (self.bundle.digest, self._locale):
                stored.state.level = min(stored.state.level, BY_NUMBER)
                log.info("dialogue goes on", call_id=call_id, began_as=waiting)
                return stored.state, writer, waiting
            # Another version, or another language: what its sentences and slots mean is no longer known.
            await dialogues.end(waiting)
        return None, await dialogues.begin(call_id, self.bundle.digest, self._locale, number), call_id


class BundleConversation:
    """One call's (call_context.Conversation)."""

    def __init__(
        self,
        session: Session,
        layer: ControlLayer,
        office: Office,
        dialogue_id: str,
        number: Personal[str],
        *,
        resumed: bool,
    ) -> None:
        self.session = session
        self._layer = layer
        self._office = office
        self._dialogue_id = dialogue_id
        self._number = number
        self._resumed = resumed

    async def start(self) -> None:
        """The first words; after a cut, who calls must be known before what was open can be asked."""
        if not self._resumed:
            await self.session.begin()
            return
        await self.session.resume()

    async def call_back(self, reason: str) -> None:
        """Written down before the caller is promised it."""
        keys = self._office.control.room.effects.keys
        if not (await keys.recall(self._dialogue_id)).ani:
            await keys.remember(self._dialogue_id, KnownCaller(ani=self._number.reveal()))
        digest = self.session.dialogue.bundle.digest
        await self._office.callbacks.ask(self._dialogue_id, digest, reason)

    async def end(self, *, cut: bool) -> None:
        """Acts under way come to their end; what was noted is in the audit log."""
        await self.session.close()
        await self._layer.close()
        if not cut:
            await self._office.dialogues.end(self._dialogue_id)


class _Timed:
    """An understander whose time is measured."""

    def __init__(self, inner: Understander, ctx: CallContext) -> None:
        self._inner = inner
        self._ctx = ctx

    async def understand(
        self,
        turn: int,
        words: Personal[str],
        alternatives: Sequence[Personal[str]],
        heard: float,
        legal: Legal,
        context: Personal[str],
    ) -> Understood:
        """As the inner one does."""
        began_ns = self._ctx.clock.now_ns()
        try:
            return await self._inner.understand(turn, words, alternatives, heard, legal, context)
        finally:
            now_ns = self._ctx.clock.now_ns()
            self._ctx.measure("understand", turn, (now_ns - began_ns) / 1e6, now_ns)


def calling_number(info: LegInfo) -> Personal[str]:
    """The user part of a SIP or tel URI when it is a telephone number; empty when it is none, or withheld."""
    found = _NUMBER.search(info.caller.reveal())
    return Personal((found[1] or found[2]) if found else "", "number")
