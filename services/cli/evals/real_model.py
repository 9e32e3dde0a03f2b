"""Understanding as a worker has it: the language model and the embedder of the llm service, on the real clock.

The service that answers at `llm.target` (or `llm.host` and `llm.port`) is used; where none answers and no target is
named, one is started for the run and stopped after it. A model that does not answer during the run is counted, for a
run in which understanding had no model says nothing about it.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass

from services.cli.evals.proposer import Noted, Understanding, Understandings, Watching
from services.cli.evals.transcript import Transcript
from services.cli.stack import Launch, grpc_probe
from services.cli.terminal import Interrupts, StackView
from services.cli.up import READY_DEADLINE_S, started_stack
from services.common.clock import Clock, now_s, sleep_s
from services.common.errors import InvalidInputError, TrunklineError, UnavailableError
from services.common.rpc_client import open_channel
from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.clients.embed import EmbedClient
from services.orchestrator.clients.llm import LlmClient, LlmReply
from services.orchestrator.dialogue.history import Message
from services.orchestrator.dialogue.understanding.understander import ModelUnderstander, learn

# A long prompt takes a small machine longer than one request may; each try goes on where the last ended.
WARMINGS = 8


@dataclass(slots=True)
class ModelCalls:
    """What a run asked of the model. `failed`: no answer, or none in time."""

    asked: int = 0
    failed: int = 0


@contextlib.asynccontextmanager
async def real(
    bundle: Bundle, launch: Launch, clock: Clock, interrupts: Interrupts, view: StackView, calls: ModelCalls
) -> AsyncIterator[Understandings]:
    """Raises InvalidInputError for the scripted engine, UnavailableError when there is no service or no embedder.

    The model is as fast as it is: a turn that needs it takes about a second, and its deadlines are those of a call.
    """
    settings = launch.settings
    if settings.llm.engine == "scripted":
        raise InvalidInputError("llm.engine", expected="a real engine for --model real", got="scripted")
    async with _service(launch, clock, interrupts, view):
        channel = open_channel(settings.llm.address(), settings.rpc, clock=clock)
        try:
            client = LlmClient(channel, clock, settings.orchestrator.llm_first_token_deadline_ms)
            model, embedder = _Counted(client, calls), EmbedClient(channel)
            if settings.llm.embedder:
                # In a call a missing embedder is an opinion less; here it would be another system than is claimed.
                await embedder.examples([bundle.agent.id])
            known = {locale: await learn(bundle, locale, embedder) for locale in bundle.agent.locales}
            for one in known.values():
                await _read(client, one.prefix, clock)

            def made(locale: str, seed: str, transcript: Transcript, noted: Noted, may_slip: bool) -> Understanding:
                today = clock.wall().date
                inner = ModelUnderstander(known[locale], f"eval {seed}", model, embedder, clock, today)
                return Watching(bundle, locale, inner, transcript, noted)

            yield made
        finally:
            await channel.close()


@contextlib.asynccontextmanager
async def _service(launch: Launch, clock: Clock, interrupts: Interrupts, view: StackView) -> AsyncIterator[None]:
    settings = launch.settings
    probe = grpc_probe(settings.llm.address(), settings, clock)
    health, why = await probe()
    if health == "down" and not settings.llm.target:
        async with started_stack(launch, clock, interrupts, view, ("llm",)):
            yield
        return
    until_s = now_s(clock) + READY_DEADLINE_S[settings.profile]
    while health == "warming" and now_s(clock) < until_s:
        await sleep_s(clock, 1.0)
        health, why = await probe()
    if health != "ready":
        raise UnavailableError(
            f"The language model at {settings.llm.address()} is {health} {why}".rstrip() + ".",
            remedy="Name one that answers (--set llm.target=host:port), or none (--set llm.target=): then one is "
            "started for the run.",
        )
    yield


async def _read(model: LlmClient, prefix: Sequence[Message], clock: Clock) -> None:
    """The fixed part of the prompt, before anybody waits for it. Raises TrunklineError."""
    for _ in range(WARMINGS - 1):
        try:
            return await model.warm("", prefix)
        except TrunklineError:
            await sleep_s(clock, 1.0)
    return await model.warm("", prefix)


class _Counted:
    """The client, counting."""

    def __init__(self, inner: LlmClient, calls: ModelCalls) -> None:
        self._inner, self._calls = inner, calls

    async def generate(
        self,
        call_id: str,
        messages: Sequence[Message],
        priority: int,
        *,
        json_schema: str = "",
        max_tokens: int = 0,
        temperature: float | None = None,
    ) -> AsyncGenerator[LlmReply, None]:
        """As the client does."""
        self._calls.asked += 1
        stream = self._inner.generate(
            call_id, messages, priority, json_schema=json_schema, max_tokens=max_tokens, temperature=temperature
        )
        answered = False
        try:
            async with contextlib.aclosing(stream) as replies:
                async for reply in replies:
                    answered = True
                    yield reply
        except (TrunklineError, asyncio.CancelledError):
            self._calls.failed += not answered
            raise

    async def warm(self, call_id: str, messages: Sequence[Message]) -> None:
        """As the client does."""
        await self._inner.warm(call_id, messages)
