"""The runner on an engine that obeys the test: what runs, what yields, what one failure does to others."""

import asyncio
import threading
from collections.abc import AsyncIterator, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from services.asr.effects import JobKind
from services.asr.endings import Endings, Head, shipped_head
from services.asr.hypothesis import DecodeRequest, EngineInfo, Hypothesis, Recognition
from services.asr.runner import Runner, Ticket, Times
from services.common.clock import SystemClock
from services.common.errors import DeadlineError, OverloadedError, TrunklineError
from services.common.personal import Personal
from services.common.settings import AsrSettings
from services.minilm import WIDTH, Floats

POISON_MS = 666


@dataclass
class Texts:
    hypotheses: list[Hypothesis]


class ObedientEngine:
    """Says how many samples it saw; waits in `encode` while the test holds it; fails on poisoned audio."""

    info = EngineInfo("obedient", "0", "none", "none", {})

    def __init__(self) -> None:
        self.go = threading.Event()
        self.go.set()
        self.may_align = threading.Event()
        self.may_align.set()
        self.entered = threading.Event()
        self.batches: list[list[int]] = []

    def check(self, recognition: Recognition) -> None:
        pass

    def group(self, request: DecodeRequest) -> Hashable:
        return request.words

    def window_ms(self, request: DecodeRequest) -> int:
        return 10_000

    def encode(self, batch: Sequence[DecodeRequest]) -> Any:
        self.entered.set()
        assert self.go.wait(10)
        return batch

    def decode(self, encoded: Any) -> "Texts":
        self.batches.append([request.audio_ms for request in encoded])
        if any(request.audio_ms == POISON_MS for request in encoded):
            raise RuntimeError("poisoned")
        return Texts([Hypothesis(Personal(f"{r.audio_ms}"), -0.1, 0.0, "en", 1.0, r.audio_ms) for r in encoded])

    def align(self, decoded: "Texts") -> list[Hypothesis]:
        assert self.may_align.wait(10)
        return decoded.hypotheses


class Bench:
    def __init__(self, **changes: Any) -> None:
        self.engine = ObedientEngine()
        self.runner = Runner(self.engine, AsrSettings(**({"max_queue_ms": 60_000} | changes)), SystemClock())

    def ask(
        self,
        ms: int,
        kind: JobKind = JobKind.FINAL,
        key: object = None,
        early: "asyncio.Future[str] | None" = None,
    ) -> "asyncio.Future[Any]":
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def done(outcome: Hypothesis | TrunklineError, times: Times) -> None:
            assert times.arrival_ns <= times.start_ns <= times.end_ns
            future.set_result(outcome)

        request = DecodeRequest(np.zeros(ms * 16, dtype=np.int16), Recognition(), kind is not JobKind.PARTIAL)
        future.ticket = Ticket(kind, request, done)  # type: ignore[attr-defined]
        if early is not None:
            future.ticket.early = lambda h, _times: early.set_result(h.text.reveal())  # type: ignore[attr-defined]
        self.runner.submit(future.ticket, (key or ms, kind), 0)  # type: ignore[attr-defined]
        return future

    async def hold(self, ms: int, kind: JobKind = JobKind.FINAL) -> "asyncio.Future[Any]":
        """A job that is in the encoder until `engine.go` is set."""
        self.engine.go.clear()
        self.engine.entered.clear()
        held = self.ask(ms, kind)
        await asyncio.to_thread(self.engine.entered.wait, 10)
        return held


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    bench.runner.start()
    yield bench
    bench.engine.go.set()
    bench.engine.may_align.set()
    await bench.runner.close()


async def test_what_waits_while_one_runs_is_decoded_together(bench: Bench) -> None:
    held = await bench.hold(100)
    others = [bench.ask(ms) for ms in (200, 300, 400)]
    bench.engine.go.set()
    texts = [(await future).text.reveal() for future in (held, *others)]
    assert texts == ["100", "200", "300", "400"]
    assert bench.engine.batches == [[100], [200, 300, 400]]


async def test_a_partial_in_the_encoder_gives_way_to_a_final(bench: Bench) -> None:
    partial = await bench.hold(100, JobKind.PARTIAL)
    final = bench.ask(200)
    bench.engine.go.set()
    assert (await final).text.reveal() == "200"
    assert isinstance(await partial, DeadlineError)
    assert bench.engine.batches == [[200]]


async def test_work_cancelled_in_the_encoder_is_not_decoded_and_not_delivered(bench: Bench) -> None:
    gone = await bench.hold(100)
    bench.runner.cancel(gone.ticket)  # type: ignore[attr-defined]
    bench.engine.go.set()
    assert (await bench.ask(200)).text.reveal() == "200"
    assert bench.engine.batches == [[200]]
    assert not gone.done()


async def test_one_utterance_that_breaks_the_decoder_harms_no_other_in_its_batch(bench: Bench) -> None:
    held = await bench.hold(100)
    bad, good = bench.ask(POISON_MS), bench.ask(300)
    bench.engine.go.set()
    await held
    assert (await good).text.reveal() == "300"
    error = await bad
    assert isinstance(error, TrunklineError)
    assert "poison" not in str(error)
    assert (await bench.ask(400)).text.reveal() == "400"


async def test_a_provisional_text_does_not_wait_for_its_words(bench: Bench) -> None:
    bench.engine.may_align.clear()
    early: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    provisional = bench.ask(200, JobKind.PROVISIONAL, early=early)
    assert await early == "200"
    assert not provisional.done()
    bench.engine.may_align.set()
    assert (await provisional).text.reveal() == "200"


async def test_finals_say_how_likely_they_end_an_utterance_partials_do_not() -> None:
    class Reader:
        def states(self, text: str) -> Floats:
            return np.full((3, WIDTH), float(text), dtype=np.float32)

    first = np.full((WIDTH, 1), 1 / WIDTH, dtype=np.float32)
    head = Head(first, np.zeros(1, dtype=np.float32), np.ones(1, dtype=np.float32), -1.0)
    bench = Bench()
    bench.runner = Runner(bench.engine, AsrSettings(), SystemClock(), Endings(Reader(), head))
    bench.runner.start()
    try:
        final, partial = bench.ask(4), bench.ask(3, JobKind.PARTIAL)
        assert (await final).ending_log_odds == pytest.approx(3.0, abs=0.01)
        assert (await partial).ending_log_odds is None
    finally:
        await bench.runner.close()


async def test_a_text_is_delivered_though_nobody_can_say_how_it_ends() -> None:
    class Broken:
        def states(self, _text: str) -> Floats:
            raise ArithmeticError("no states today")

    bench = Bench()
    bench.runner = Runner(bench.engine, AsrSettings(), SystemClock(), Endings(Broken(), shipped_head()))
    bench.runner.start()
    try:
        final = await bench.ask(4)
        assert (final.text.reveal(), final.ending_log_odds) == ("4", None)
    finally:
        await bench.runner.close()


async def test_a_newer_partial_supersedes_the_waiting_one(bench: Bench) -> None:
    held = await bench.hold(100)
    old = bench.ask(200, JobKind.PARTIAL, key="u")
    new = bench.ask(300, JobKind.PARTIAL, key="u")
    bench.engine.go.set()
    await held
    assert isinstance(await old, DeadlineError)
    assert (await new).text.reveal() == "300"


async def test_a_full_queue_refuses_with_a_time_to_retry() -> None:
    bench = Bench(max_queue_ms=300)
    bench.runner.start()
    try:
        held = await bench.hold(100)
        with pytest.raises(OverloadedError) as refused:
            [bench.ask(ms) for ms in range(200, 2000, 10)]
        assert refused.value.retry_after_s > 0
        bench.engine.go.set()
        await held
    finally:
        bench.engine.go.set()
        await bench.runner.close()


async def test_an_error_in_one_streams_callback_ends_neither_the_runner_nor_other_streams(bench: Bench) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)

    def broken(_outcome: object, _times: Times) -> None:
        raise AssertionError("a bug of one stream")

    request = DecodeRequest(np.zeros(160, dtype=np.int16), Recognition(), words=True)
    bench.runner.submit(Ticket(JobKind.FINAL, request, broken), ("broken",), 0)
    assert (await bench.ask(200)).text.reveal() == "200"
    assert (await bench.ask(300)).text.reveal() == "300"
