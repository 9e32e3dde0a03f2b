"""A peer with silence suppression sends nothing after its words: the turn still ends, and is answered."""

from collections.abc import AsyncIterator

import pytest

from services.common.clock import sleep_s
from services.orchestrator import events as ev
from tests.orchestrator.lab import Lab

SHORT = {"greeting": "Hello.", "apology_retry": "One moment.", "apology_goodbye": "Sorry, goodbye."}


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    async with Lab(agent=SHORT) as running:
        yield running


async def test_a_turn_ends_though_no_packet_follows_the_last_word(lab: Lab) -> None:
    call = lab.call()
    await call.until(ev.AgentSpeechEnded)
    leg = call.leg
    leg.speak(600)
    await call.until(ev.SpeechStarted)
    # From its last frame of speech on this peer sends nothing.
    while leg._speech:
        await sleep_s(leg.clock, 0.01)
    leg.silent = True
    ended = await call.until(ev.TurnEnded)
    assert 0 < (ended.at_ns - ended.last_voiced_ns) / 1e6 < 2500
    await call.until(ev.AgentSpeechEnded, 2)
    leg.bye()
    await call.until(ev.CallEnded, cause="remote_bye")
