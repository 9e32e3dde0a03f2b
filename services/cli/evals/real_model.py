"""Understanding as a worker has it: the language model and the embedder of a running llm service, on the real clock."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from services.cli.evals.proposer import Noted, Understanding, Understandings, Watching
from services.cli.evals.transcript import Transcript
from services.common.clock import Clock
from services.common.errors import UnavailableError
from services.common.rpc_client import open_channel
from services.common.settings import Settings
from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.clients.embed import EmbedClient
from services.orchestrator.clients.llm import LlmClient
from services.orchestrator.dialogue.understanding.understander import ModelUnderstander, learn

READY_S = 5.0


@contextlib.asynccontextmanager
async def real(bundle: Bundle, settings: Settings, clock: Clock) -> AsyncIterator[Understandings]:
    """Over `llm.target` (or its host and port). Raises UnavailableError when nothing answers there.

    The model is as fast as it is: a run takes about a second a turn, and its deadlines are those of a call.
    """
    channel = open_channel(settings.llm.address(), settings.rpc, clock=clock)
    try:
        try:
            async with asyncio.timeout(READY_S):
                await channel.channel_ready()
        except TimeoutError:
            raise UnavailableError(
                f"No language model at {settings.llm.address()}.",
                remedy="Start one: `trunkline up --only llm`, or name it: --set llm.target=host:port.",
            ) from None
        model = LlmClient(channel, clock, settings.orchestrator.llm_first_token_deadline_ms)
        embedder = EmbedClient(channel)
        known = {locale: await learn(bundle, locale, embedder) for locale in bundle.agent.locales}

        def made(locale: str, seed: str, transcript: Transcript, noted: Noted, may_slip: bool) -> Understanding:
            today = clock.wall().date
            inner = ModelUnderstander(known[locale], f"eval {seed}", model, embedder, clock, today)
            return Watching(bundle, locale, inner, transcript, noted)

        for locale in bundle.agent.locales:
            await ModelUnderstander(known[locale], "eval", model, embedder, clock, clock.wall().date).warm()
        yield made
    finally:
        await channel.close()
