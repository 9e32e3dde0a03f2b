"""What is made before the first call."""

import asyncio

from services.common.clock import VirtualClock
from services.common.settings import ScriptedSettings, Settings, load_settings
from services.tts.clauses import ClauseSplitter
from services.tts.scripted import ScriptedEngine, ScriptedRunner
from services.tts.server import WARM_RATES_HZ, TtsServicer


class QuickEngine(ScriptedEngine):
    """The scripted voice as an engine whose phrases are cached."""

    name = "quick"


def clauses_of(settings: Settings, *sentences: str) -> set[str]:
    texts = set()
    for sentence in sentences:
        splitter = ClauseSplitter(settings.tts.first_clause_chars)
        texts |= {clause.text.strip() for clause in [*splitter.push(sentence), *splitter.flush()]}
    return texts


async def warmed(settings: Settings, ms: float) -> tuple[TtsServicer, bool]:
    """The servicer after `ms` of warming, 10 ms to load and 10 ms for all phrases, and whether it is ready."""
    clock = VirtualClock()
    servicer = TtsServicer(settings, QuickEngine(ScriptedSettings()), ScriptedRunner(10, clock), clock)
    warming = asyncio.create_task(servicer.warm())
    await clock.advance_ms(ms)
    ready = warming.done()
    warming.cancel()
    return servicer, ready


async def test_the_service_is_not_ready_before_the_agents_sentences_are_made_at_every_rate_of_a_leg() -> None:
    settings = load_settings(env={})
    expected = len(WARM_RATES_HZ) * len(clauses_of(settings, *settings.agent.sentences()))
    servicer, ready = await warmed(settings, 19)
    assert not ready
    servicer, ready = await warmed(settings, 21)
    assert ready
    assert servicer.cached_phrases == expected
    await servicer.close()


async def test_an_agent_whose_locale_has_no_voice_does_not_keep_the_service_from_starting() -> None:
    settings = load_settings(env={}, overrides={"agent": {"locale": "fi-FI"}})
    servicer, ready = await warmed(settings, 1000)
    assert ready
    assert servicer.cached_phrases == 0
