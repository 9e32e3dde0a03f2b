"""Starts replies, early or in time, and keeps the early ones from being heard (turns/speculation.py)."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass

from services.common.errors import TrunklineError
from services.orchestrator.call_context import CallContext
from services.orchestrator.clients.llm import SPECULATION, WAITING_CALLER, LlmReply
from services.orchestrator.dialogue.history import Message
from services.orchestrator.media.playout import Utterance
from services.orchestrator.reply import Reply, ReplyFailedError
from services.orchestrator.spent import SpeculationAccount
from services.orchestrator.turns.speculation import SpeculationGate


@dataclass(slots=True)
class Making:
    """A reply being made. `on_end` is set when it is committed; a speculation only remembers its failure."""

    reply: Reply
    speculative: bool
    task: "asyncio.Task[None] | None" = None
    failure: ReplyFailedError | None = None
    on_end: Callable[["Making"], None] | None = None

    def cancel(self) -> None:
        """Nobody wants it any more: both RPCs are cancelled."""
        self.on_end = None
        self.reply.on.progress = lambda: None
        if self.task is not None:
            self.task.cancel()


class ReplyMaker:
    """One per call."""

    def __init__(self, ctx: CallContext) -> None:
        self._ctx = ctx
        self._gate: SpeculationGate[Making] = SpeculationGate()
        self._warming: asyncio.Task[None] | None = None
        self.account = SpeculationAccount()

    def make(self, messages: Sequence[Message], turn: int, rate_hz: int, *, speculative: bool = False) -> Making:
        """Ask the language model and begin to speak its answer into an utterance nobody plays yet."""
        services, call_id = self._ctx.services, self._ctx.call_id
        priority = SPECULATION if speculative else WAITING_CALLER
        reply = Reply(
            services.llm.generate(call_id, messages, priority),
            services.tts.open(call_id, rate_hz),
            Utterance(turn, rate_hz),
            self._ctx.clock,
        )
        making = Making(reply, speculative)
        making.task = self._ctx.spawn(self._run(making))
        return making

    def recite(self, text: str, turn: int, rate_hz: int) -> Making:
        """Speak a text that is there already, clause by clause like any reply."""
        services = self._ctx.services
        reply = Reply(
            _whole(text), services.tts.open(self._ctx.call_id, rate_hz), Utterance(turn, rate_hz), self._ctx.clock
        )
        reply.by_model = False
        making = Making(reply, speculative=False)
        making.task = self._ctx.spawn(self._run(making))
        return making

    def speculate(self, text: str, messages: Sequence[Message], turn: int, rate_hz: int) -> None:
        """Prepare the reply to a turn that has probably ended; not when too much was prepared for it in vain."""
        self.drop()
        if self.account.may_begin():
            self.account.began()
            self._gate.begin(text, self.make(messages, turn, rate_hz, speculative=True))

    def commit(self, text: str) -> Making | None:
        """The turn ended with `text`: the reply prepared for it, if it is of use."""
        self.account.turn_over()
        prepared, void = self._gate.commit(text)
        if prepared is not None and prepared.failure is not None:
            prepared, void = None, prepared
        self._void(void)
        if prepared is not None:
            self.account.used()
        return prepared

    def drop(self) -> None:
        """The turn goes on, or the call is over."""
        self._void(self._gate.drop())

    def _void(self, making: Making | None) -> None:
        if making is not None:
            making.cancel()
            utterance = making.reply.utterance
            self.account.void(making.reply.tokens, utterance.samples * 1000 // utterance.rate_hz)

    def warm(self, messages: Sequence[Message]) -> bool:
        """Let the model read ahead while the caller still speaks; False when it is still reading."""
        if self._warming is not None and not self._warming.done():
            return False
        self._warming = self._ctx.spawn(self._warm(messages))
        return True

    async def _warm(self, messages: Sequence[Message]) -> None:
        try:
            await self._ctx.services.llm.warm(self._ctx.call_id, messages)
        except TrunklineError:
            # It would have saved time; the reply itself tells whether the model is there.
            return

    async def _run(self, making: Making) -> None:
        try:
            await making.reply.run()
        except ReplyFailedError as error:
            making.failure = error
        if making.on_end is not None:
            making.on_end(making)


async def _whole(text: str) -> AsyncGenerator[LlmReply, None]:
    """A text that no model has to write."""
    yield LlmReply(text=text)
    yield LlmReply(ended="stop")
