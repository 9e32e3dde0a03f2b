"""Names what held an event loop for 50 ms or more: a log event with the stack, and a histogram.

    thread  looks every 25 ms (sys._current_frames): is the loop's thread in one of our functions?
            if so, takes its stack and leaves a mark on the loop
    loop    runs the mark when it comes to it: that late was it

An idle loop is never woken, so the monitor costs a thread that wakes 40 times a second (about 0.1 % of a core).

What it says: `at_least_ms` (from the first look to the mark; the loop was held at most one period longer), `cpu_ms`
(processor time of the loop's thread in it: far less means that it was not computing, but waited for a lock, a disk or
a processor), and `stack` (the names of functions, outermost first, no values: no personal data can be in it).

What it never reports:
- stalls under 25 ms; between 25 and 50 ms it depends on where in the period they began;
- which of many callbacks was slow, when many short ones in a row kept the mark waiting: the stack is of one of them;
- native code that runs straight from the loop, without a Python function in between;
- where native code was that kept the interpreter lock for so long: the thread could not look, and says "not sampled";
  a machine without a free processor looks the same;
- a task that waits without holding the loop: that is a slow task, not a stalled loop.
"""

import asyncio
import sys
import threading
from dataclasses import dataclass
from types import FrameType
from typing import Final

from prometheus_client import Histogram

from services.common.clock import Clock, thread_cpu_ns
from services.common.log import get_logger

log = get_logger(__name__)

PERIOD_NS: Final = 25_000_000
STALL_NS: Final = 50_000_000
# A machine in trouble stalls often: one line a second tells it, the histogram counts the rest.
LOG_EVERY_NS: Final = 1_000_000_000
_DEEPEST: Final = 24
# The machinery that runs every callback says nothing about what was slow; a loop inside of it is idle, or near it.
_MACHINERY: Final = frozenset(("asyncio", "uvloop", "selectors", "runpy"))

STALLS: Final = Histogram(
    "trunkline_loop_stall_seconds",
    "Time an event loop was held (the least it can have been).",
    buckets=(0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5),
)


@dataclass(frozen=True, slots=True)
class Stall:
    """One stall that is over; the most it can have been is one period longer."""

    at_least_ns: int
    cpu_ns: int
    stack: str


class StallWatch:
    """The arithmetic, without threads and timers."""

    def __init__(self, now_ns: int) -> None:
        self._looked_ns = now_ns
        # When the mark that is out was left; None: no mark is out.
        self._marked_ns: int | None = None
        self._cpu_ns = 0
        self._stack = ""

    def look(self, now_ns: int, stack: str, cpu_ns: int) -> tuple[bool, Stall | None]:
        """The thread looked; `stack` is empty for an idle loop. Whether to leave a mark, and a stall of the thread."""
        late_ns, self._looked_ns = now_ns - self._looked_ns - PERIOD_NS, now_ns
        if self._marked_ns is not None:
            # Still held: the newest stack stands.
            self._stack = stack or self._stack
            return False, None
        starved = Stall(late_ns, 0, "not sampled") if late_ns >= STALL_NS else None
        if not stack:
            return False, starved
        self._marked_ns, self._cpu_ns, self._stack = now_ns, cpu_ns, stack
        return True, starved

    def answer(self, now_ns: int, cpu_ns: int) -> Stall | None:
        """The mark came through: a stall, when it took long."""
        marked_ns, self._marked_ns = self._marked_ns, None
        if marked_ns is None or now_ns - marked_ns + PERIOD_NS < STALL_NS:
            return None
        return Stall(now_ns - marked_ns, cpu_ns - self._cpu_ns, self._stack)


class LoopMonitor:
    """Watches the loop it is started on until `close`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._thread_id = threading.get_ident()
        self._watch = StallWatch(clock.now_ns())
        # Held while the monitor runs. A bare lock: an Event's wait is ten times the work.
        self._running = threading.Lock()
        self._running.acquire()
        self._logged_ns = -LOG_EVERY_NS
        self._unsaid = 0
        self._thread = threading.Thread(target=self._run, name="loop monitor", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop watching, and wait until the thread is gone: it must not touch a closed loop."""
        self._running.release()
        self._thread.join(1.0)

    def _run(self) -> None:
        while not self._running.acquire(timeout=PERIOD_NS / 1e9):
            frame = sys._current_frames().get(self._thread_id)
            stack = "" if frame is None or _is_machinery(frame) else stack_of(frame)
            cpu_ns = thread_cpu_ns(self._thread_id) if stack else 0
            mark, starved = self._watch.look(self._clock.now_ns(), stack, cpu_ns)
            try:
                if starved is not None:
                    self._loop.call_soon_threadsafe(self._say, starved)
                if mark:
                    self._loop.call_soon_threadsafe(self._answered)
            except RuntimeError:
                # The loop was closed under us: the process ends.
                return

    def _answered(self) -> None:
        stall = self._watch.answer(self._clock.now_ns(), thread_cpu_ns(self._thread_id))
        if stall is not None:
            self._say(stall)

    def _say(self, stall: Stall) -> None:
        STALLS.observe(stall.at_least_ns / 1e9)
        now_ns = self._clock.now_ns()
        if now_ns - self._logged_ns < LOG_EVERY_NS:
            self._unsaid += 1
            return
        log.warning(
            "event loop stalled",
            at_least_ms=round(stall.at_least_ns / 1e6),
            cpu_ms=round(stall.cpu_ns / 1e6),
            stack=stall.stack,
            unsaid_before=self._unsaid,
        )
        self._logged_ns, self._unsaid = now_ns, 0


def stack_of(frame: FrameType | None) -> str:
    """Functions of a stack, outermost first, as `module.function > module.function`."""
    names: list[str] = []
    while frame is not None and len(names) < _DEEPEST:
        if not _is_machinery(frame):
            module = str(frame.f_globals.get("__name__", "?"))
            names.append(f"{module.rpartition('.')[2]}.{frame.f_code.co_qualname}")
        frame = frame.f_back
    return " > ".join(reversed(names))


def _is_machinery(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "?")).partition(".")[0] in _MACHINERY
