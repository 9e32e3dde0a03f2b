"""What is decoded next, with whom, and what is refused: a pure, synchronous class; time is given to it.

Finals (provisional ones included) go before partials, each by deadline. A call's further job counts as if it were
needed one job's time after that call's last: however much a call asks, it makes no other call's first job late. Jobs of
a group share a batch as long as all of it stays in time. The queue is bounded in predicted milliseconds of work: what
would start too late is refused with the time after which to try again. Of an utterance at most one job per kind waits
or runs.
"""

import itertools
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Any

from services.asr.cost import CostModel, units_of
from services.common.errors import OverloadedError
from services.common.load import Load, QueueState, Utilisation

NS_PER_MS = 1_000_000
MIN_RETRY_S = 0.05
# Time constant of the measured utilisation of the decoder.
UTILISATION_S = 2.0
# Weight of a new batch in the mean time of finals.
SERVICE_ALPHA = 0.2
# Utilisation from which partials come half as often, a quarter as often, and not at all.
SPARSE_PARTIALS = 0.5
RARE_PARTIALS = 0.7
NO_PARTIALS = 0.85


class Priority(IntEnum):
    """Lower goes first, whatever the deadlines."""

    FINAL = 0
    PARTIAL = 1


class Dropped(Enum):
    """Why a job leaves the queue undecoded."""

    SUPERSEDED = "superseded"
    LATE = "late"
    YIELDED = "yielded"


@dataclass(slots=True, eq=False)
class Job:
    """One decode. `key` names utterance and kind; jobs of one `call` take turns with those of others (None: it is
    alone); `owner` is for whoever runs the batch."""

    key: Hashable
    priority: Priority
    group: Hashable
    window_ms: int
    audio_ms: int
    arrival_ns: int
    deadline_ns: int
    owner: Any = field(default=None, repr=False)
    call: Hashable = None
    # The deadline that orders it: fixed on entry, never before its own.
    virtual_ns: int = 0
    cancelled: bool = False

    @property
    def units(self) -> float:
        """Work, in the cost model's units."""
        return units_of([(self.window_ms, self.audio_ms)])


@dataclass(frozen=True, slots=True)
class Plan:
    """The next batch, and the jobs that are dropped rather than decoded late."""

    batch: tuple[Job, ...]
    dropped: tuple[Job, ...]


class Scheduler:
    """The queue of one decoder. `max_queue_ms`: predicted wait past which work is refused."""

    def __init__(self, max_batch: int, max_queue_ms: int) -> None:
        self._max_batch = max_batch
        self._max_queue_ms = max_queue_ms
        self._queue: dict[Hashable, Job] = {}
        self._running: tuple[Job, ...] = ()
        self._started_ns = 0
        self._busy_until_ns = 0
        self._costs = {Priority.FINAL: CostModel(), Priority.PARTIAL: CostModel()}
        self._utilisation = 0.0
        # Of finals alone: partials become rarer, and give way, before anybody waits for them.
        self._final_share = Utilisation(1)
        self._final_ms = 0.0
        self._last_end_ns: int | None = None

    def submit(self, job: Job, now_ns: int) -> Job | None:
        """Queue a job; returns the waiting one it replaces, or the job itself when its like already runs.

        Raises OverloadedError when it would start more than `max_queue_ms` from now; a partial, when the queue
        would make it miss its deadline. A final's deadline only orders: late, it is still what the caller said.
        Finals never wait for partials, so partials never cause their refusal.
        """
        if job.priority is Priority.PARTIAL and any(r.key == job.key for r in self._running):
            return job
        job.virtual_ns = self._virtual_ns(job)
        wait_ms = self._wait_ms(job, now_ns)
        allowed_ms = float(self._max_queue_ms)
        if job.priority is Priority.PARTIAL:
            slack_ms = (job.deadline_ns - now_ns) / NS_PER_MS - self._cost_ms([job])
            # Alone it would be late as well: then the queue is not to blame, and waiting for it does not help.
            allowed_ms = min(allowed_ms, slack_ms) if slack_ms > 0 else allowed_ms
        if self._waits_already(job):
            # The second half of the queue is for calls that have nothing in it.
            wait_ms, allowed_ms = max(wait_ms, self.queue_ms(now_ns)), allowed_ms / 2
        if wait_ms > allowed_ms:
            raise OverloadedError("Recognition", retry_after_s=max(MIN_RETRY_S, (wait_ms - allowed_ms) / 1000))
        replaced = self._queue.pop(job.key, None)
        self._queue[job.key] = job
        return replaced

    def cancel(self, job: Job) -> None:
        """The answer is not wanted any more: leave the queue, or be dropped between encoder and decoder."""
        job.cancelled = True
        if self._queue.get(job.key) is job:
            del self._queue[job.key]

    def promote(self, job: Job, deadline_ns: int) -> None:
        """A provisional final becomes the one that is waited for; its deadline can only come nearer."""
        job.deadline_ns = min(job.deadline_ns, deadline_ns)
        job.virtual_ns = min(job.virtual_ns, job.deadline_ns)

    def next_batch(self, now_ns: int) -> Plan:
        """Take the next batch from the queue; empty when nothing waits."""
        late = [job for job in self._queue.values() if now_ns > job.deadline_ns]
        dropped = [job for job in late if job.priority is Priority.PARTIAL]
        for job in dropped:
            del self._queue[job.key]
        batch = self._grow(_in_turn(self._queue.values()), now_ns)
        for job in batch:
            del self._queue[job.key]
        if batch:
            self._running = tuple(batch)
            self._started_ns = now_ns
            self._busy_until_ns = now_ns + int(self._cost_ms(batch) * NS_PER_MS)
            self._final_share.update(int(batch[0].priority is Priority.FINAL), now_ns)
        return Plan(tuple(batch), tuple(dropped))

    def should_yield(self) -> bool:
        """Asked between encoder and decoder: True when partials run and a final waits."""
        running_partials = bool(self._running) and self._running[0].priority is Priority.PARTIAL
        return running_partials and any(job.priority is Priority.FINAL for job in self._queue.values())

    def finished(self, now_ns: int, *, complete: bool) -> None:
        """The running batch is over. `complete`: it ran to its end, so its time teaches the cost model."""
        if self._running and complete:
            elapsed_ms = (now_ns - self._started_ns) / NS_PER_MS
            self.learn(self._running[0].priority, sum(job.units for job in self._running), elapsed_ms)
            if self._running[0].priority is Priority.FINAL:
                self._final_ms += (elapsed_ms - self._final_ms) * (SERVICE_ALPHA if self._final_ms else 1.0)
        self._account(self._started_ns, now_ns)
        self._final_share.update(0, now_ns)
        self._running = ()
        self._busy_until_ns = now_ns

    def learn(self, priority: Priority, units: float, compute_ms: float) -> None:
        """Teach the cost model one measured batch."""
        self._costs[priority].learn(units, compute_ms)

    def partial_hop_ms(self, wanted_ms: int, now_ns: int) -> int | None:
        """Least audio between partials under the load of now; None: no partials."""
        load = self.utilisation(now_ns)
        if wanted_ms <= 0 or load >= NO_PARTIALS:
            return None
        return wanted_ms * (4 if load >= RARE_PARTIALS else 2 if load >= SPARSE_PARTIALS else 1)

    def utilisation(self, now_ns: int) -> float:
        """Share of the last seconds that the decoder computed, 0 to 1."""
        idle_since = self._last_end_ns
        if self._running or idle_since is None:
            return self._utilisation
        return self._utilisation * _decay((now_ns - idle_since) / 1e9)

    def queue_ms(self, now_ns: int) -> float:
        """Predicted time until the queue of now is empty."""
        return self._rest_ms(now_ns) + self._work_ms(self._queue.values())

    def load(self, now_ns: int) -> Load:
        """Who waits by kind, and how busy finals keep the decoder."""
        queues = tuple(
            QueueState.of(kind, [job.arrival_ns for job in self._queue.values() if job.priority is priority])
            for kind, priority in (("final", Priority.FINAL), ("partial", Priority.PARTIAL))
        )
        return Load(queues, self._final_share.value(now_ns), 1, self._final_ms)

    def __len__(self) -> int:
        return len(self._queue)

    def _grow(self, waiting: list[Job], now_ns: int) -> list[Job]:
        if not waiting:
            return []
        batch = [waiting[0]]
        hopeless = not self._in_time(batch, now_ns)
        for job in waiting[1:]:
            if len(batch) == self._max_batch:
                break
            if (job.priority, job.group) != (batch[0].priority, batch[0].group):
                continue
            # When the first is late already, throughput is what helps those behind it.
            if hopeless or self._in_time([*batch, job], now_ns):
                batch.append(job)
        return batch

    def _in_time(self, batch: list[Job], now_ns: int) -> bool:
        end_ns = now_ns + int(self._cost_ms(batch) * NS_PER_MS)
        return all(end_ns <= job.deadline_ns for job in batch)

    def _wait_ms(self, job: Job, now_ns: int) -> float:
        """Predicted time until `job` would start: the running batch and what goes before it."""
        others = [other for other in self._queue.values() if other.key != job.key]
        before = itertools.takewhile(lambda other: other is not job, _in_turn([*others, job]))
        return self._rest_ms(now_ns) + self._work_ms(before)

    def _waits_already(self, job: Job) -> bool:
        return job.call is not None and any(
            other.call == job.call and other.priority is job.priority and other.key != job.key
            for other in self._queue.values()
        )

    def _virtual_ns(self, job: Job) -> int:
        same = [
            other.virtual_ns
            for other in self._queue.values()
            if other.call == job.call and other.priority is job.priority and other.key != job.key
        ]
        if job.call is None or not same:
            return job.deadline_ns
        return max(job.deadline_ns, max(same) + int(self._cost_ms([job]) * NS_PER_MS))

    def _rest_ms(self, now_ns: int) -> float:
        return max(0, self._busy_until_ns - now_ns) / NS_PER_MS if self._running else 0.0

    def _work_ms(self, jobs: Iterable[Job]) -> float:
        """Predicted time of jobs in full batches by group."""
        groups: dict[tuple[Priority, Hashable], list[Job]] = {}
        for job in jobs:
            groups.setdefault((job.priority, job.group), []).append(job)
        return sum(
            self._cost_ms(members[i : i + self._max_batch])
            for members in groups.values()
            for i in range(0, len(members), self._max_batch)
        )

    def _cost_ms(self, batch: list[Job]) -> float:
        return self._costs[batch[0].priority].predict_ms(sum(job.units for job in batch))

    def _account(self, start_ns: int, end_ns: int) -> None:
        if self._last_end_ns is not None:
            self._utilisation *= _decay((start_ns - self._last_end_ns) / 1e9)
        keep = _decay((end_ns - start_ns) / 1e9)
        self._utilisation = self._utilisation * keep + (1 - keep)
        self._last_end_ns = end_ns


def _in_turn(jobs: Iterable[Job]) -> list[Job]:
    """The order of decoding: see the module."""
    return sorted(jobs, key=lambda j: (j.priority, j.virtual_ns, j.arrival_ns))


def _decay(seconds: float) -> float:
    return float(2.718281828 ** (-max(0.0, seconds) / UTILISATION_S))
