"""Deadlines on the injected clock, so that tests need not wait for them."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, TypeVar

from services.common.clock import Clock, sleep_s
from services.common.errors import DeadlineError

T = TypeVar("T")


@contextlib.asynccontextmanager
async def deadline(clock: Clock, seconds: float) -> AsyncGenerator[None, None]:
    """What is inside is cancelled after `seconds`, and TimeoutError raised: `asyncio.timeout` on `clock`.

    Use it around awaits only: an `async with` that holds a `yield` would cancel whoever iterates.
    """
    # Loop clock: never asked, `clock` says when.
    async with asyncio.timeout(None) as scope:

        async def expire() -> None:
            await sleep_s(clock, seconds)
            # Long past, by the event loop's clock, which decides nothing here: at once.
            scope.reschedule(0.0)

        timer = asyncio.create_task(expire(), name="deadline")
        try:
            yield
        finally:
            timer.cancel()


async def within(
    clock: Clock,
    seconds: float,
    work: Awaitable[T],
    *,
    late: Callable[[], None] | None = None,
    late_s: float = 0.0,
    keep: bool = False,
) -> T:
    """What `work` gives. Raises DeadlineError after `seconds`; `late` is called once when it takes over `late_s`.

    `keep`: the work goes on when the deadline passes or we are cancelled (a write is never broken off).
    """
    task = asyncio.ensure_future(work)
    try:
        if late is not None and not await _done_in(clock, late_s, task):
            late()
            seconds -= late_s
        if not await _done_in(clock, seconds, task):
            raise DeadlineError(f"No answer within {seconds:.1f} s.")
        return task.result()
    finally:
        if not task.done() and not keep:
            task.cancel()


async def _done_in(clock: Clock, seconds: float, task: "asyncio.Future[T]") -> bool:
    if task.done():
        return True
    timer = asyncio.ensure_future(sleep_s(clock, seconds))
    try:
        both: set[asyncio.Future[Any]] = {task, timer}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        timer.cancel()
    return task.done()
