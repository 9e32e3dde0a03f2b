"""The scripted recogniser keeps its declared time, from the mark that asked, on virtual time."""

import asyncio

import grpc
import numpy as np
import pytest

from services.asr.outbox import MAX_UNSENT, Outbox
from services.common.clock import VirtualClock
from services.common.errors import OverloadedError
from services.common.settings import Settings
from services.pb.trunkline.asr.v1 import asr_pb2 as pb
from services.pb.trunkline.common.v1 import common_pb2
from tests.asr.wire import FINALIZE, PAUSED, STARTED, Stream, serving


class NoticedClock(VirtualClock):
    """Virtual time that tells when somebody begins to wait for an answer of it (not for a deadline of seconds)."""

    def __init__(self) -> None:
        super().__init__()
        self.waited_for = asyncio.Event()

    async def sleep_until_ns(self, deadline_ns: int) -> None:
        if deadline_ns - self.now_ns() < 1e9:
            self.waited_for.set()
        await super().sleep_until_ns(deadline_ns)


SECOND = np.zeros(16_000, dtype=np.int16)


@pytest.fixture
def scripted(settings: Settings) -> Settings:
    asr = settings.asr.model_copy(update={"engine": "scripted"})
    declared = settings.scripted.model_copy(update={"asr_final_ms": 50})
    return settings.model_copy(update={"asr": asr, "scripted": declared})


async def test_it_says_that_it_is_scripted(scripted: Settings) -> None:
    async with serving(scripted, VirtualClock()) as stub:
        answer = await stub.Describe(common_pb2.DescribeRequest(), timeout=5)
    assert (answer.engine, dict(answer.details), list(answer.models)) == ("scripted", {"asr_final_ms": "50"}, [])


async def test_its_final_comes_the_declared_time_after_the_pause_and_finalize_is_then_free(scripted: Settings) -> None:
    clock = NoticedClock()
    async with serving(scripted, clock) as stub:
        stream = Stream(stub)
        await stream.mark(STARTED)
        await stream.audio(SECOND)
        await stream.mark(PAUSED)
        provisional = await _answer_after(stream, clock, 50)
        assert provisional.provisional
        assert provisional.timings.total_ms == 50
        await stream.mark(FINALIZE)
        final = await stream.answer("final")
    assert (final.provisional, final.text) == (False, provisional.text)
    assert final.timings.total_ms == 0


async def test_without_a_pause_the_time_counts_from_finalize(scripted: Settings) -> None:
    clock = NoticedClock()
    async with serving(scripted, clock) as stub:
        stream = Stream(stub)
        await stream.mark(STARTED)
        await stream.audio(SECOND)
        await stream.mark(FINALIZE)
        final = await _answer_after(stream, clock, 50)
    assert not final.provisional
    assert final.timings.total_ms == 50


async def test_a_stream_that_never_says_what_it_wants_is_ended(scripted: Settings) -> None:
    clock = VirtualClock()
    async with serving(scripted, clock) as stub:
        silent, talks = stub.Recognize(timeout=60), Stream(stub)
        await talks.mark(FINALIZE)
        await talks.answer("error")
        ended = asyncio.ensure_future(silent.code())
        while not ended.done():
            await clock.advance_ms(1000)
            await asyncio.wait({ended}, timeout=0.05)
        assert ended.result() is grpc.StatusCode.DEADLINE_EXCEEDED
        await talks.mark(FINALIZE)
        assert (await talks.answer("error")).code == grpc.StatusCode.INVALID_ARGUMENT.value[0]


async def _answer_after(stream: Stream, clock: NoticedClock, ms: float) -> pb.Final:
    """The final that comes when `ms` have passed since the server started to wait, and not before."""
    answer = asyncio.ensure_future(stream.answer("final"))
    await clock.waited_for.wait()
    await clock.advance_ms(ms - 1)
    assert not answer.done()
    await clock.advance_ms(1)
    return await answer


def _partial(utterance: int, text: str) -> pb.RecognizeResponse:
    return pb.RecognizeResponse(partial=pb.Partial(utterance_id=utterance, unstable_text=text))


def _final(utterance: int, *, provisional: bool) -> pb.RecognizeResponse:
    return pb.RecognizeResponse(final=pb.Final(utterance_id=utterance, provisional=provisional))


async def test_what_is_superseded_before_it_was_sent_is_not_sent() -> None:
    outbox = Outbox()
    for response in (_partial(1, "a"), _partial(1, "b"), _partial(2, "c"), _final(1, provisional=True)):
        outbox.put(response)
    outbox.put(_final(1, provisional=False))
    outbox.close()
    sent = [response async for response in outbox]
    assert sent == [_partial(2, "c"), _final(1, provisional=False)]


async def test_a_client_that_does_not_read_is_ended_rather_than_stored() -> None:
    outbox = Outbox()
    for utterance in range(MAX_UNSENT + 1):
        outbox.put(_final(utterance, provisional=False))
    with pytest.raises(OverloadedError):
        [response async for response in outbox]
