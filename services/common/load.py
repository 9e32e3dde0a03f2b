"""How full a service is: who waits, since when, and which share of its places is busy. For Prometheus and for `Load`.

The orchestrator asks `Load` a few times a second: a queue that ages says that answers will be late before any answer
is. All of it is counts and times, never a call.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from prometheus_client import Gauge

from services.common.clock import Clock
from services.pb.trunkline.common.v1 import common_pb2

# Time constant of the measured utilisation: a few turns of talk.
UTILISATION_S: Final = 5.0

WAITING: Final = Gauge("trunkline_queue_waiting", "Pieces of work that wait for their turn.", ["kind"])
OLDEST_MS: Final = Gauge("trunkline_queue_oldest_ms", "How long the work that waits longest has waited, ms.", ["kind"])
UTILISATION: Final = Gauge("trunkline_queue_utilisation", "Share of the last seconds in which the places were busy.")


@dataclass(frozen=True, slots=True)
class QueueState:
    """Work of one kind: how many pieces wait, and when the oldest came; None when none waits."""

    kind: str
    waiting: int = 0
    oldest_ns: int | None = None

    @classmethod
    def of(cls, kind: str, arrivals_ns: Sequence[int]) -> "QueueState":
        """From the times at which waiting work came."""
        return cls(kind, len(arrivals_ns), min(arrivals_ns, default=None))


@dataclass(frozen=True, slots=True)
class Load:
    """A service's state at one moment. `service_ms`: mean time of one piece of work in its place."""

    queues: tuple[QueueState, ...] = ()
    utilisation: float = 0.0
    slots: int = 1
    service_ms: float = 0.0

    def to_proto(self, now_ns: int) -> common_pb2.LoadResponse:
        """The answer of the `Load` RPC."""
        return common_pb2.LoadResponse(
            queues=[
                common_pb2.QueueLoad(kind=queue.kind, waiting=queue.waiting, oldest_ms=age_ms(queue.oldest_ns, now_ns))
                for queue in self.queues
            ],
            utilisation=self.utilisation,
            slots=self.slots,
            service_ms=self.service_ms,
        )


def age_ms(since_ns: int | None, now_ns: int) -> float:
    """Milliseconds since then; 0 for None."""
    return 0.0 if since_ns is None else max(0.0, (now_ns - since_ns) / 1e6)


@dataclass(slots=True)
class Utilisation:
    """Share of time that places were busy, exponentially weighted over the last seconds. Pure; time is given to it."""

    slots: int
    tau_s: float = UTILISATION_S
    _share: float = 0.0
    _running: int = 0
    _at_ns: int | None = field(default=None)

    def update(self, running: int, now_ns: int) -> None:
        """From now on so many places are busy."""
        self._share = self.value(now_ns)
        self._running, self._at_ns = min(running, self.slots), now_ns

    def value(self, now_ns: int) -> float:
        """0 to 1."""
        if self._at_ns is None:
            return 0.0
        keep = math.exp(-max(0, now_ns - self._at_ns) / 1e9 / self.tau_s)
        return self._share * keep + (1 - keep) * self._running / self.slots


class LoadMetrics:
    """Publishes loads. Ages are computed when they are read: a queue that nothing moves must still be seen to age."""

    def __init__(self, kinds: Iterable[str], clock: Clock) -> None:
        self._clock = clock
        self._oldest: dict[str, int | None] = dict.fromkeys(kinds)
        for kind in self._oldest:
            OLDEST_MS.labels(kind=kind).set_function(partial(self._age_ms, kind))

    def show(self, load: Load) -> None:
        """Whenever the queue changed."""
        for queue in load.queues:
            self._oldest[queue.kind] = queue.oldest_ns
            WAITING.labels(kind=queue.kind).set(queue.waiting)
        UTILISATION.set(load.utilisation)

    def _age_ms(self, kind: str) -> float:
        # Read by the exporter's thread: one reference, whole in itself.
        return age_ms(self._oldest[kind], self._clock.now_ns())
