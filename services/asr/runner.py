"""Runs what the scheduler decides: one worker thread computes, the event loop delivers. Thin on purpose."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import numpy as np

from services.asr import metrics
from services.asr.audio import MODEL_RATE_HZ
from services.asr.cost import units_of
from services.asr.effects import JobKind
from services.asr.endings import Endings
from services.asr.hypothesis import DecodeRequest, Engine, Hypothesis, Recognition
from services.asr.scheduler import NS_PER_MS, Dropped, Job, Priority, Scheduler
from services.common.clock import Clock
from services.common.errors import DeadlineError, OverloadedError, TrunklineError, UnavailableError
from services.common.load import Load, LoadMetrics
from services.common.log import get_logger
from services.common.settings import AsrSettings

log = get_logger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Times:
    """When a job arrived, was started and was computed, in monotonic ns."""

    arrival_ns: int
    start_ns: int
    end_ns: int


@dataclass(slots=True)
class Ticket:
    """A decode that a stream waits for. `done` is called once, on the event loop, unless it is cancelled.

    A provisional final's text may come before, without words, by `early`.
    """

    kind: JobKind
    request: DecodeRequest
    done: Callable[[Hypothesis | TrunklineError, Times], None]
    early: Callable[[Any, Times], None] = field(default=lambda _hypothesis, _times: None)
    job: Job | None = None
    # Of the scripted recogniser.
    task: asyncio.Task[None] | None = None


class Recogniser(Protocol):
    """What a stream needs of whatever decodes: the real runner or the scripted one."""

    def check(self, config: Recognition) -> None:
        """Raise InvalidInputError for a config that cannot be served."""
        ...

    def submit(self, ticket: Ticket, key: tuple[object, ...], deadline_ms: int) -> None:
        """Queue a decode. Raises OverloadedError."""
        ...

    def promote(self, ticket: Ticket, deadline_ms: int) -> None:
        """A provisional final is now waited for."""
        ...

    def cancel(self, ticket: Ticket) -> None:
        """Its answer is not wanted."""
        ...

    def load(self) -> Load:
        """Who waits, and how busy the decoder is."""
        ...

    def partial_hop_ms(self, wanted_ms: int) -> int | None:
        """Least audio between partials under the load of now; None: no partials."""
        ...


class Runner:
    """A `Recogniser` on one engine."""

    def __init__(self, engine: Engine, settings: AsrSettings, clock: Clock, endings: Endings | None = None) -> None:
        self._engine = engine
        self._endings = endings
        self._settings = settings
        self._clock = clock
        self._scheduler = Scheduler(settings.max_batch, settings.max_queue_ms)
        self._load_metrics = LoadMetrics(("final", "partial"), clock)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="asr-decode")
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to decode, on the running event loop."""
        self._task = asyncio.create_task(self._run(), name="asr-runner")

    async def warm(self) -> None:
        """Decode noise of two lengths: memory is allocated, and the cost model knows this machine.

        Raises UnavailableError when the engine loads but cannot compute (a missing CUDA library).
        """
        for audio_ms, words in ((1000, False), (8000, False), (1000, True), (8000, True)):
            noise = np.random.default_rng(0).integers(-300, 300, audio_ms * MODEL_RATE_HZ // 1000, dtype=np.int16)
            request = DecodeRequest(noise, Recognition(locale="en"), words)
            start_ns = self._clock.now_ns()
            try:
                encoded = await self._in_worker(self._engine.encode, [request])
                await self._in_worker(self._engine.align, await self._in_worker(self._engine.decode, encoded))
            except RuntimeError as error:
                raise UnavailableError(
                    f"The model is loaded but cannot compute on {self._engine.info.device}: {error}.",
                    remedy="On CUDA machines install nvidia-cublas-cu12, or set asr.device=cpu.",
                ) from error
            elapsed_ms = (self._clock.now_ns() - start_ns) / NS_PER_MS
            units = units_of([(self._engine.window_ms(request), audio_ms)])
            self._scheduler.learn(Priority.FINAL if words else Priority.PARTIAL, units, elapsed_ms)

    async def close(self) -> None:
        """Stop after the batch that runs; what waits is left unanswered (its streams are being closed)."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._worker.shutdown(wait=True, cancel_futures=True)

    def check(self, config: Recognition) -> None:
        """See Recogniser."""
        self._engine.check(config)

    def submit(self, ticket: Ticket, key: tuple[object, ...], deadline_ms: int) -> None:
        """See Recogniser."""
        now_ns = self._clock.now_ns()
        partial = ticket.kind is JobKind.PARTIAL
        default_ms = self._settings.partial_deadline_ms if partial else self._settings.final_deadline_ms
        request = ticket.request
        job = ticket.job = Job(
            key=key,
            priority=Priority.PARTIAL if partial else Priority.FINAL,
            group=self._engine.group(request),
            window_ms=self._engine.window_ms(request),
            audio_ms=request.audio_ms,
            arrival_ns=now_ns,
            deadline_ns=now_ns + (deadline_ms or default_ms) * NS_PER_MS,
            owner=ticket,
            call=key[0],
        )
        try:
            replaced = self._scheduler.submit(job, now_ns)
        except OverloadedError:
            metrics.REFUSED.labels(kind=ticket.kind.value).inc()
            raise
        if replaced is not None:
            self._drop(replaced, Dropped.SUPERSEDED)
        self._wake.set()

    def promote(self, ticket: Ticket, deadline_ms: int) -> None:
        """See Recogniser."""
        if ticket.job is not None and deadline_ms > 0:
            self._scheduler.promote(ticket.job, self._clock.now_ns() + deadline_ms * NS_PER_MS)

    def cancel(self, ticket: Ticket) -> None:
        """See Recogniser."""
        if ticket.job is not None:
            self._scheduler.cancel(ticket.job)

    def load(self) -> Load:
        """See Recogniser."""
        return self._scheduler.load(self._clock.now_ns())

    def partial_hop_ms(self, wanted_ms: int) -> int | None:
        """See Recogniser."""
        return self._scheduler.partial_hop_ms(wanted_ms, self._clock.now_ns())

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            now_ns = self._clock.now_ns()
            plan = self._scheduler.next_batch(now_ns)
            for job in plan.dropped:
                self._drop(job, Dropped.LATE)
            self._publish(now_ns)
            if plan.batch:
                await self._compute(plan.batch, now_ns)
            else:
                await self._wake.wait()

    async def _compute(self, batch: tuple[Job, ...], start_ns: int) -> None:
        """Encode, look again, decode, align, deliver. A batch that fails is tried job by job: one harms no other."""
        try:
            encoded = await self._in_worker(self._engine.encode, [job.owner.request for job in batch])
            if self._scheduler.should_yield() or all(job.cancelled for job in batch):
                self._finish(complete=False)
                for job in batch:
                    self._drop(job, Dropped.YIELDED)
                return
            decoded = await self._in_worker(self._engine.decode, encoded)
            heard = await self._judge_endings(batch, decoded.hypotheses)
            text_ns = self._clock.now_ns()
            for job, hypothesis in zip(batch, heard, strict=True):
                # A provisional text is what the answer to the caller is begun with: it does not wait for word times.
                if job.owner.kind is JobKind.PROVISIONAL:
                    self._deliver(job, hypothesis, Times(job.arrival_ns, start_ns, text_ns), early=True)
            aligned = await self._in_worker(self._engine.align, decoded)
            endings = [hypothesis.ending_log_odds for hypothesis in heard]
            found = [replace(h, ending_log_odds=odds) for h, odds in zip(aligned, endings, strict=True)]
        except (RuntimeError, ValueError) as error:
            self._finish(complete=False)
            await self._failed(batch, start_ns, error)
            return
        end_ns = self._finish(complete=True)
        kind = batch[0].owner.kind.value
        metrics.COMPUTE_MS.labels(kind=kind).observe((end_ns - start_ns) / NS_PER_MS)
        metrics.BATCH_SIZE.labels(kind=kind).observe(len(batch))
        for job, hypothesis in zip(batch, found, strict=True):
            metrics.QUEUE_MS.labels(kind=job.owner.kind.value).observe((start_ns - job.arrival_ns) / NS_PER_MS)
            self._deliver(job, hypothesis, Times(job.arrival_ns, start_ns, end_ns))

    async def _judge_endings(self, batch: tuple[Job, ...], heard: list[Hypothesis]) -> list[Hypothesis]:
        """How likely each text ends an utterance. Not of partial texts: nothing ends by them.

        It is an opinion more: a model that fails costs no caller the text.
        """
        endings = self._endings
        if endings is None or all(job.owner.kind is JobKind.PARTIAL for job in batch):
            return heard

        def judge(hypotheses: list[Hypothesis]) -> list[Hypothesis]:
            return [replace(h, ending_log_odds=endings.log_odds(h.text.reveal(), h.language)) for h in hypotheses]

        try:
            return await self._in_worker(judge, heard)
        except Exception as error:  # noqa: BLE001  # onnxruntime's errors have no base of their own
            log.error("endings not judged", error=type(error).__name__)
            return heard

    async def _in_worker(self, step: Callable[[Any], T], argument: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._worker, step, argument)

    async def _failed(self, batch: tuple[Job, ...], start_ns: int, error: Exception) -> None:
        if len(batch) > 1:
            for job in batch:
                await self._compute((job,), start_ns)
            return
        log.error("decode failed", error=type(error).__name__, exc_info=error)
        times = Times(batch[0].arrival_ns, start_ns, self._clock.now_ns())
        self._deliver(batch[0], TrunklineError("The decoder failed on this utterance."), times)

    def _finish(self, *, complete: bool) -> int:
        now_ns = self._clock.now_ns()
        self._scheduler.finished(now_ns, complete=complete)
        return now_ns

    def _drop(self, job: Job, reason: Dropped) -> None:
        ticket: Ticket = job.owner
        metrics.DROPPED.labels(kind=ticket.kind.value, reason=reason.value).inc()
        now_ns = self._clock.now_ns()
        error = DeadlineError(f"The decode was dropped ({reason.value}).", remedy="Finalize again, or set a later one.")
        self._deliver(job, error, Times(job.arrival_ns, now_ns, now_ns))

    def _deliver(self, job: Job, outcome: Hypothesis | TrunklineError, times: Times, *, early: bool = False) -> None:
        if job.cancelled:
            return
        ticket: Ticket = job.owner
        # Not called from here: an error of one stream must end neither this loop nor another stream's submit.
        call = ticket.early if early else ticket.done
        asyncio.get_running_loop().call_soon(call, outcome, times)

    def _publish(self, now_ns: int) -> None:
        metrics.BACKLOG_MS.set(self._scheduler.queue_ms(now_ns))
        self._load_metrics.show(self._scheduler.load(now_ns))
        metrics.UTILISATION.set(self._scheduler.utilisation(now_ns))
