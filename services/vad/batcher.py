"""One model run for every call that has a frame: frames of all client streams meet here.

While the model runs (a large batch in a thread of its own, so that the event loop stays free), frames that arrive
wait; the next run takes one frame of every waiting call. Frames of one call run in order, one per run, so a client
that sends many frames of one call at once delays no other.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, Protocol

from prometheus_client import Histogram

from services.common.clock import Clock
from services.common.errors import TrunklineError
from services.common.log import get_logger
from services.common.metrics import MS_BUCKETS
from services.vad.calls import Calls, Floats, Job

log = get_logger(__name__)

BATCH_FRAMES: Final = Histogram(
    "trunkline_vad_batch_frames", "Calls per model run.", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
)
QUEUE_SECONDS: Final = Histogram(
    "trunkline_vad_queue_seconds", "Wait of a message's first frame for the model.", buckets=MS_BUCKETS
)


class SpeechEngine(Protocol):
    """The VAD model. Called from one thread at a time."""

    name: str
    version: str
    # Batches up to this size take less time than handing them to a thread and back.
    inline_frames: int

    def infer(self, audio: Floats, state: Floats) -> tuple[Floats, Floats]:
        """[B, 576] in −1…1 and [2, B, 128] → probability of speech [B] and the new state."""
        ...


@dataclass
class Outcome:
    """Results of one message: a probability per job (None for those of a call that ended), and where time went."""

    probabilities: list[float | None]
    queue_ms: float = 0.0
    compute_ms: float = 0.0


@dataclass
class _Ticket:
    """The jobs of one message still to run, by call."""

    outcome: Outcome
    arrived_ns: int
    done: asyncio.Future[None]
    waiting: dict[int, deque[tuple[int, Job]]]
    started: bool = False
    left: int = field(default=0)


class Batcher:
    """Runs the engine over whatever waits; start with `start`, end with `close`."""

    def __init__(self, engine: SpeechEngine, calls: Calls, clock: Clock) -> None:
        self._engine = engine
        self._calls = calls
        self._clock = clock
        self._tickets: list[_Ticket] = []
        self._work = asyncio.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="vad")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin running; needs the event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Stop after the run in progress."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for ticket in self._tickets:
            ticket.done.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def detect(self, jobs: Sequence[Job]) -> Outcome:
        """Run the jobs of one message, those of one call in order. Raises TrunklineError when the model fails.

        What waits here is bounded by the messages in flight: one per stream.
        """
        outcome = Outcome([None] * len(jobs))
        if not jobs:
            return outcome
        waiting: dict[int, deque[tuple[int, Job]]] = {}
        for index, job in enumerate(jobs):
            waiting.setdefault(job.row, deque()).append((index, job))
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ticket = _Ticket(outcome, self._clock.now_ns(), done, waiting, left=len(jobs))
        self._tickets.append(ticket)
        self._work.set()
        try:
            await done
        finally:
            if ticket in self._tickets:  # The stream was cancelled: its frames no longer run.
                self._tickets.remove(ticket)
        return outcome

    async def _run(self) -> None:
        while True:
            await self._work.wait()
            # Messages of other streams that are already on this loop's list of ready work join the same run.
            await asyncio.sleep(0)
            taken = [(ticket, index, job) for ticket in self._tickets for index, job in _next_of_each(ticket)]
            if not taken:
                self._work.clear()
                continue
            jobs = [job for _, _, job in taken]
            audio, state = self._calls.gather(jobs)
            start_ns = self._clock.now_ns()
            run = self._infer(audio, state)
            await asyncio.wait({run})
            error = run.exception()
            if error is not None:
                self._fail(taken, error)
                continue
            probabilities, new_state = run.result()
            self._calls.scatter(jobs, audio, new_state)
            self._settle(taken, probabilities, start_ns)

    def _infer(self, audio: Floats, state: Floats) -> asyncio.Future[tuple[Floats, Floats]]:
        """One run of the model as a future, so that its failure is a value too."""
        loop = asyncio.get_running_loop()
        if len(audio) > self._engine.inline_frames:
            return loop.run_in_executor(self._thread, self._engine.infer, audio, state)

        async def here() -> tuple[Floats, Floats]:
            return self._engine.infer(audio, state)

        return loop.create_task(here())

    def _settle(self, taken: list[tuple[_Ticket, int, Job]], probabilities: Floats, start_ns: int) -> None:
        compute_ms = (self._clock.now_ns() - start_ns) / 1e6
        BATCH_FRAMES.observe(len(taken))
        seen: set[int] = set()
        for (ticket, index, _), probability in zip(taken, probabilities, strict=True):
            ticket.outcome.probabilities[index] = float(probability)
            ticket.left -= 1
            if id(ticket) not in seen:
                seen.add(id(ticket))
                ticket.outcome.compute_ms += compute_ms
                if not ticket.started:
                    ticket.started = True
                    ticket.outcome.queue_ms = (start_ns - ticket.arrived_ns) / 1e6
                    QUEUE_SECONDS.observe(ticket.outcome.queue_ms / 1e3)
            if ticket.left == 0 and not ticket.done.done():
                ticket.done.set_result(None)
        self._tickets = [ticket for ticket in self._tickets if ticket.left]

    def _fail(self, taken: list[tuple[_Ticket, int, Job]], error: BaseException) -> None:
        """A run that the engine could not do fails the messages in it, not the service."""
        log.error("vad model failed", error=type(error).__name__, exc_info=error)
        failed = {id(ticket): ticket for ticket, _, _ in taken}
        for ticket in failed.values():
            if not ticket.done.done():
                ticket.done.set_exception(TrunklineError(f"The VAD model failed ({type(error).__name__})."))
        self._tickets = [ticket for ticket in self._tickets if id(ticket) not in failed]


def _next_of_each(ticket: _Ticket) -> list[tuple[int, Job]]:
    """Take the first waiting frame of every call of the message."""
    taken = [queue.popleft() for queue in ticket.waiting.values()]
    ticket.waiting = {row: queue for row, queue in ticket.waiting.items() if queue}
    return taken
