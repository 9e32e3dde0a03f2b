"""Understanding begun before a turn is over: used when the turn ends with the same words, dropped when it goes on."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from services.orchestrator.dialogue.model import Legal, Understood
from services.orchestrator.turns.lexicon.words import normalized

Task = asyncio.Task[Understood]


class Prepared:
    """At most one. It holds only for what was legal when it was begun; nothing is looked up or done by it."""

    def __init__(self) -> None:
        self._held: tuple[str, Legal, Task] | None = None
        self._closing: set[asyncio.Future[None]] = set()

    def begin(self, words: str, legal: Legal, ask: Callable[[], Coroutine[Any, Any, Understood]]) -> None:
        """Understand `words` now, unless that is being done."""
        if self._held is not None and self._held[:2] == (normalized(words), legal):
            return
        self.drop()
        self._held = (normalized(words), legal, asyncio.create_task(ask()))

    def take(self, words: str, legal: Legal) -> Task | None:
        """The turn ended with `words`: what was prepared for it. Anything else is dropped."""
        if self._held is None or self._held[:2] != (normalized(words), legal):
            self.drop()
            return None
        task, self._held = self._held[2], None
        return task

    def drop(self) -> None:
        """The turn goes on, or the call is over."""
        held, self._held = self._held, None
        if held is not None:
            # A failure that nobody waits for any more is nobody's.
            held[2].add_done_callback(self._unwanted)
            held[2].cancel()

    def _unwanted(self, task: Task) -> None:
        if task.cancelled() or task.exception() is not None or (rest := task.result().rest) is None:
            return
        # The model is still writing: it need not.
        closing = asyncio.ensure_future(rest.aclose())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
