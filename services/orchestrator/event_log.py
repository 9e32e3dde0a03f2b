"""The event log of one call: appended on the event loop, replayed and followed by any number of readers.

Bounded twice: the log keeps the newest `MAX_EVENTS`, and a reader that falls `MAX_BEHIND` events behind is cut
with a marker, because a slow browser must never hold a call.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from services.orchestrator.events import CallEnded, Event

MAX_EVENTS = 20_000
MAX_BEHIND = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriberCut(Event):
    """Last item of a subscription that was too slow: `missed` events were waiting."""

    missed: int


class EventLog:
    """Append-only; ends with `CallEnded`, after which nothing is accepted."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=MAX_EVENTS)
        self._subscribers: list[_Subscription] = []
        self._watchers: list[Callable[[Event], None]] = []
        self._ended = False

    @property
    def ended(self) -> bool:
        """True after `CallEnded`."""
        return self._ended

    def snapshot(self) -> list[Event]:
        """Everything kept so far, oldest first."""
        return list(self._events)

    def watch(self, watcher: Callable[[Event], None]) -> None:
        """Call `watcher` with every event as it is appended (on the event loop; it must not block)."""
        self._watchers.append(watcher)

    def append(self, event: Event) -> None:
        """Add one event and wake readers. What comes after `CallEnded` is dropped: the call is over."""
        if self._ended:
            return
        self._events.append(event)
        self._ended = isinstance(event, CallEnded)
        for watcher in self._watchers:
            watcher(event)
        for subscriber in self._subscribers:
            subscriber.offer(event)
        if self._ended:
            self._subscribers.clear()

    def subscribe(self) -> AsyncIterator[Event]:
        """All events from the start, then live ones, until `CallEnded` or, for a slow reader, `SubscriberCut`."""
        subscription = _Subscription(list(self._events))
        if not self._ended:
            self._subscribers.append(subscription)
        return subscription.read(self._forget)

    def _forget(self, subscription: "_Subscription") -> None:
        if subscription in self._subscribers:
            self._subscribers.remove(subscription)


class _Subscription:
    """What one reader has not read yet."""

    def __init__(self, replay: list[Event]) -> None:
        self._waiting: deque[Event] = deque(replay)
        self._limit = max(MAX_BEHIND, len(replay) + MAX_BEHIND)
        self._cut: SubscriberCut | None = None
        self._wake = asyncio.Event()

    def offer(self, event: Event) -> None:
        if self._cut is not None:
            return
        if len(self._waiting) >= self._limit:
            self._cut = SubscriberCut(at_ns=event.at_ns, missed=len(self._waiting) + 1)
            self._waiting.clear()
        else:
            self._waiting.append(event)
        self._wake.set()

    async def read(self, forget: Callable[["_Subscription"], None]) -> AsyncIterator[Event]:
        try:
            while True:
                while self._waiting:
                    event = self._waiting.popleft()
                    yield event
                    if isinstance(event, CallEnded):
                        return
                if self._cut is not None:
                    yield self._cut
                    return
                self._wake.clear()
                await self._wake.wait()
        finally:
            forget(self)
