"""The second opinion with the real embedder over a real channel, on the bank's own phrases."""

import pytest

from services.common.clock import SystemClock
from services.common.rpc_client import open_channel
from services.common.rpc_server import serve
from services.common.settings import load_settings
from services.llm.server import build
from services.orchestrator.clients.embed import EmbedClient
from services.orchestrator.dialogue.understanding.examples import NO_GOAL
from services.orchestrator.dialogue.understanding.understander import learn
from tests.dialogue.understanding.scripted import BANK

pytestmark = pytest.mark.models


async def test_words_far_from_the_bundles_own_find_their_goal_by_meaning() -> None:
    settings = load_settings(env={}, overrides={"llm": {"engine": "scripted"}})
    server = await serve(build(settings, SystemClock()), settings.rpc, SystemClock(), host="127.0.0.1", port=0)
    try:
        async with open_channel(f"127.0.0.1:{server.port}", settings.rpc) as channel:
            embedder = EmbedClient(channel)
            known = await learn(BANK, "en-GB", embedder)
            for words, goal in (
                ("a thief ran off with my purse and my visa", "block_card"),
                ("how rich am I", "balance"),
                ("they took the money two times", "refund"),
                ("we live in another town now", "change_address"),
                ("sing me a lullaby", NO_GOAL),
            ):
                [vector] = await embedder.examples([words])
                opinion = known.examples.opinion(words, vector)
                assert opinion.by_meaning
                assert opinion.ranked(tuple(opinion.of))[0] == goal, words
    finally:
        await server.stop()
