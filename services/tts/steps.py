"""Which step runs next, of all that wait for a thread. Pure; time is given to it.

A deadline is when the listener would hear silence: a call that waits for its first audio is due since its text came,
a call that has two seconds in hand is due in two seconds. Steps that are due go before those made ahead: first audio
before later audio. Among the due the call goes first that was served least recently, a new one before all; equal
calls by deadline. So a call with many streams open delays another by one step at most, and nobody starves. What is made
ahead goes by deadline.
"""

import itertools
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from services.common.load import Load, QueueState, Utilisation

KINDS: Final = ("due", "ahead")
_MAX_REMEMBERED: Final = 1024
# Weight of a new step in the mean time of steps.
_SERVICE_ALPHA: Final = 0.1


@dataclass(slots=True, eq=False)
class Step:
    """One step that waits. `call` takes turns with others; "" is a call of its own (a file, warming)."""

    run: Callable[[], Any]
    deadline_ns: int
    queued_ns: int
    call: str = ""
    order: int = 0
    started_ns: int = 0
    result: Any = field(default=None, repr=False)

    def due_ns(self) -> int:
        """Since when somebody hears silence because of it."""
        return max(self.deadline_ns, self.queued_ns)


class StepQueue:
    """Steps for `workers` threads."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._waiting: list[Step] = []
        self._running: set[Step] = set()
        self._order = itertools.count()
        # Which turn each call had last, oldest first.
        self._served: OrderedDict[str, int] = OrderedDict()
        self._turns = itertools.count(1)
        self._busy = Utilisation(workers)
        self._service_ms = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, step: Step) -> None:
        """A step wants a thread."""
        step.order = next(self._order)
        self._waiting.append(step)

    def remove(self, step: Step) -> bool:
        """Nobody wants it any more; False when it does not wait (it runs, or is over)."""
        if step not in self._waiting:
            return False
        self._waiting.remove(step)
        return True

    def take(self, now_ns: int) -> Step | None:
        """The next step, when a thread is free for it."""
        if not self._waiting or len(self._running) >= self._workers:
            return None
        chosen = min(self._waiting, key=lambda step: self._rank(step, now_ns))
        self._waiting.remove(chosen)
        self._note_served(chosen.call)
        chosen.started_ns = now_ns
        self._running.add(chosen)
        self._busy.update(len(self._running), now_ns)
        return chosen

    def _rank(self, step: Step, now_ns: int) -> tuple[bool, int, int, int]:
        ahead = step.due_ns() > now_ns
        return (ahead, 0 if ahead else self._served.get(step.call, 0), step.deadline_ns, step.order)

    def _note_served(self, call: str) -> None:
        """Calls that were not served for long are forgotten: to come first once is theirs anyway."""
        if not call:
            return
        self._served.pop(call, None)
        self._served[call] = next(self._turns)
        while len(self._served) > _MAX_REMEMBERED:
            self._served.popitem(last=False)

    def finished(self, step: Step, now_ns: int) -> None:
        """Its thread is free again."""
        self._running.discard(step)
        self._busy.update(len(self._running), now_ns)
        took_ms = (now_ns - step.started_ns) / 1e6
        self._service_ms += (took_ms - self._service_ms) * (_SERVICE_ALPHA if self._service_ms else 1.0)

    def clear(self) -> list[Step]:
        """Take everything out that waits."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def lateness_ms(self, now_ns: int) -> float:
        """How long the latest step has been due without a thread; 0 when all are in time."""
        return max(0.0, max((now_ns - step.due_ns() for step in self._waiting), default=0) / 1e6)

    def load(self, now_ns: int) -> Load:
        """Steps that wait: due (since when), or made ahead (since they were queued)."""
        due = [step.due_ns() for step in self._waiting if step.due_ns() <= now_ns]
        ahead = [step.queued_ns for step in self._waiting if step.due_ns() > now_ns]
        queues = (QueueState.of("due", due), QueueState.of("ahead", ahead))
        return Load(queues, self._busy.value(now_ns), self._workers, self._service_ms)
