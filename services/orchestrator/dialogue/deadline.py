"""A deadline on the injected clock, so that tests need not wait for it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from services.common.clock import Clock, sleep_s
from services.common.errors import DeadlineError

T = TypeVar("T")


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
