"""All calls of this process: admission, look-up, logs of live and ended calls, drain."""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from prometheus_client import Counter

from services.common.clock import Clock, sleep_s
from services.common.errors import OverloadedError, TrunklineError, UnavailableError
from services.common.log import get_logger
from services.orchestrator.event_log import EventLog
from services.orchestrator.events import CallEnded, Event, StageMeasured
from services.orchestrator.media.leg import Leg, LegInfo
from services.orchestrator.stages import StageRing

log = get_logger(__name__)

REFUSED: Final = Counter(
    "trunkline_calls_refused",
    "New calls refused by an orchestrator: draining, not_ready, capacity, or why.",
    ["reason"],
)

ENDED_KEPT = 200
RETRY_AFTER_S = 5.0
END_DEADLINE_S = 5.0


class RunningCall(Protocol):
    """What the registry asks of a call."""

    async def run(self) -> None:
        """From ring to hang-up; returns when the leg is gone and nothing of the call is left."""
        ...

    def hangup(self, reason: str) -> None:
        """End the call from our side; `run` returns soon after."""
        ...


@dataclass(slots=True)
class CallHandle:
    """A call as the rest of the process sees it, while it lives and for a while after."""

    call_id: str
    info: LegInfo
    started_at: datetime
    started_ns: int
    events: EventLog = field(default_factory=EventLog)
    # What it pinned when it began: the bundle's digest (empty: the agent of the settings) and the locale.
    agent_digest: str = ""
    locale: str = ""
    _call: RunningCall | None = None

    @property
    def ended(self) -> bool:
        """Nothing follows in its log."""
        return self.events.ended

    def hangup(self, reason: str = "operator") -> None:
        """End the call from our side; harmless when it is over."""
        if self._call is not None:
            self._call.hangup(reason)


class Admission(Protocol):
    """Whether one more call would harm those in progress."""

    retry_after_s: float

    def refusal(self, calls: int) -> str | None:
        """Why a new call beside so many others is refused; None when it is welcome."""
        ...

    def closed(self) -> bool:
        """A call that came now would be refused, as far as was known at the last look."""
        ...

    def measured(self, ms: float) -> None:
        """A turn was answered after so long (voice-to-voice)."""
        ...


CallFactory = Callable[[CallHandle, Leg], RunningCall]


class CallRegistry:
    """Starts calls and finds them again. Lives on one event loop; `start` is synchronous and never waits."""

    def __init__(
        self, clock: Clock, max_calls: int, create: CallFactory, worker: int = 0, admission: Admission | None = None
    ) -> None:
        self._clock = clock
        self._worker = worker
        self._admission = admission
        self._max_calls = max_calls
        self._create = create
        self._live: dict[str, CallHandle] = {}
        self._ended: OrderedDict[str, CallHandle] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._draining = False
        self._not_ready = ""
        self.stages = StageRing()

    def set_ready(self, reason: str = "") -> None:
        """Admit calls (empty reason), or refuse new ones and say why. Calls in progress go on."""
        self._not_ready = reason

    @property
    def not_ready(self) -> str:
        """Why new calls are refused; empty when they are admitted."""
        return "draining" if self._draining else self._not_ready

    @property
    def capacity(self) -> int:
        """Most calls at once."""
        return self._max_calls

    @property
    def refusing(self) -> str:
        """In one word, for whoever hands out calls: why a new one would be refused now; empty when it would not."""
        if self._draining:
            return "draining"
        if self._not_ready:
            return "not_ready"
        return "overload" if self._admission is not None and self._admission.closed() else ""

    def start(self, leg: Leg) -> CallHandle:
        """Admit a call and run it in a task of its own.

        Raises OverloadedError at capacity and UnavailableError while not ready or draining; the caller answers
        503 in its protocol.
        """
        self.require_room()
        handle = CallHandle(new_call_id(self._clock, self._worker), leg.info, self._clock.wall(), self._clock.now_ns())
        handle.events.watch(lambda event: self._on_event(handle.call_id, event))
        call = self._create(handle, leg)
        handle._call = call
        self._live[handle.call_id] = handle
        task = asyncio.create_task(self._run(handle, call), name=f"call {handle.call_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return handle

    def require_room(self) -> None:
        """Raises what `start` would raise, so that a front door can refuse before it allocates."""
        if self.not_ready:
            REFUSED.labels(reason="draining" if self._draining else "not_ready").inc()
            raise UnavailableError(f"New calls are refused: {self.not_ready}.", remedy="See /readyz.")
        if len(self._live) >= self._max_calls:
            REFUSED.labels(reason="capacity").inc()
            raise OverloadedError("The orchestrator", retry_after_s=RETRY_AFTER_S)
        if self._admission is not None and (refusal := self._admission.refusal(len(self._live))):
            REFUSED.labels(reason=refusal).inc()
            raise OverloadedError(f"The stack ({refusal})", retry_after_s=self._admission.retry_after_s)

    def get(self, call_id: str) -> CallHandle | None:
        """A live call, or one of the last 200 ended ones."""
        return self._live.get(call_id) or self._ended.get(call_id)

    def live(self) -> list[CallHandle]:
        """Calls in progress, oldest first."""
        return list(self._live.values())

    def ended(self) -> list[CallHandle]:
        """The last ended calls, oldest first."""
        return list(self._ended.values())

    def find_by_peer(self, reference: str) -> str | None:
        """The call id for a SIP Call-ID or WebRTC session id."""
        for handles in (reversed(self._live.values()), reversed(self._ended.values())):
            for handle in handles:
                if handle.info.peer_reference == reference:
                    return handle.call_id
        return None

    def subscribe(self, call_id: str) -> AsyncIterator[Event] | None:
        """The call's log from the start, then live; None for an unknown call."""
        handle = self.get(call_id)
        return handle.events.subscribe() if handle else None

    def refuse_all(self) -> None:
        """The drain begins: no new calls."""
        self._draining = True

    async def empty(self) -> None:
        """Returns when no call is in progress."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def drain(self, grace_s: float) -> None:
        """Refuse new calls, let calls in progress end for `grace_s`, then hang up and wait for the end of all."""
        self._draining = True
        await _wait(set(self._tasks), self._clock, grace_s)
        for handle in self.live():
            handle.hangup("drain")
        await _wait(set(self._tasks), self._clock, END_DEADLINE_S)
        # A stuck call must not keep the process.
        stuck = set(self._tasks)
        for task in stuck:
            task.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)

    async def _run(self, handle: CallHandle, call: RunningCall) -> None:
        """One call must never harm another: whatever goes wrong in it ends here, by type, in the log."""
        log.info("call started", call_id=handle.call_id, transport=handle.info.transport)
        cause, detail = "failed", "internal error"
        try:
            await call.run()
        except* TrunklineError as group:
            first = _first(group)
            detail = type(first).__name__
            log.warning("call failed", call_id=handle.call_id, error=detail)
        except* Exception as group:
            detail = type(_first(group)).__name__
            log.error("call crashed", call_id=handle.call_id, error=detail, exc_info=_first(group))
        finally:
            handle.events.append(CallEnded(at_ns=self._clock.now_ns(), cause=cause, detail=detail))
            handle._call = None
            self._live.pop(handle.call_id, None)
            self._ended[handle.call_id] = handle
            while len(self._ended) > ENDED_KEPT:
                self._ended.popitem(last=False)
            log.info("call ended", call_id=handle.call_id)

    def _on_event(self, call_id: str, event: Event) -> None:
        if isinstance(event, StageMeasured):
            self.stages.add(call_id, event)
            if event.stage == "voice_to_voice" and self._admission is not None:
                self._admission.measured(event.ms)


def new_call_id(clock: Clock, worker: int = 0) -> str:
    """RFC 9562 UUID version 7 as 32 hex digits: sorts by time of arrival."""
    unix_ms = int(clock.wall().timestamp() * 1000)
    value = (unix_ms & (1 << 48) - 1) << 80 | 0x7 << 76 | (worker or secrets.randbits(12)) << 64
    value |= 0b10 << 62 | secrets.randbits(62)
    return f"{value:032x}"


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _wait(tasks: set[asyncio.Task[None]], clock: Clock, deadline_s: float) -> None:
    """Until all tasks are done or the deadline has passed."""
    if not tasks:
        return
    waiter = asyncio.create_task(_all_done(tasks))
    timer = asyncio.create_task(sleep_s(clock, deadline_s))
    await asyncio.wait({waiter, timer}, return_when=asyncio.FIRST_COMPLETED)
    waiter.cancel()
    timer.cancel()


async def _all_done(tasks: set[asyncio.Task[None]]) -> None:
    await asyncio.wait(tasks)
