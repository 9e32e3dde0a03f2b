"""A call and events for tests."""

from datetime import UTC, datetime

from services.common.personal import Personal
from services.orchestrator.events import DtmfReceived, FinalTranscript
from services.orchestrator.store.records import StoredEvent

START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
CALLER, CALLEE, WORDS = "sip:jane.roe@example.com", "sip:+15550100@example.net", "my card is lost"


async def create(calls, call_id="c1", started_at=START):
    await calls.create_call(
        call_id,
        transport="sip",
        caller=Personal(CALLER, "uri"),
        callee=Personal(CALLEE, "uri"),
        agent_digest="sha256:00",
        locale="en-US",
        started_at=started_at,
    )


def final(text=WORDS, at_ns=1_000_000_000):
    return FinalTranscript(
        at_ns=at_ns,
        utterance=1,
        provisional=False,
        text=Personal(text, "words"),
        avg_logprob=-0.2,
        no_speech_prob=0.01,
        language="en",
        rejection="",
    )


def digit(at_ns=1_000_000_000):
    return DtmfReceived(at_ns=at_ns, digit=Personal("7", "digit"), duration_ms=100)


def row(seq, payload=None):
    return StoredEvent(seq, 5 * seq, START, "Test", payload or {"n": seq})
