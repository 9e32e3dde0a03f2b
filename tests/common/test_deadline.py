"""Deadlines on virtual time: what is inside is cancelled when the clock says so, and only by it."""

import asyncio

import pytest

from services.common.clock import VirtualClock
from services.common.deadline import deadline, within
from services.common.errors import DeadlineError


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


async def test_what_is_inside_is_cancelled_at_the_deadline_and_not_before() -> None:
    clock, ended = VirtualClock(), []

    async def work() -> None:
        try:
            async with deadline(clock, 5):
                try:
                    await forever()
                finally:
                    ended.append(clock.now_ns())
        except TimeoutError:
            ended.append("late")

    task = asyncio.create_task(work())
    await clock.advance_ms(4_999)
    assert ended == []
    await clock.advance_ms(1)
    await task
    assert ended == [5_000_000_000, "late"]


async def test_work_that_is_done_in_time_is_left_alone_ever_after() -> None:
    clock = VirtualClock()
    async with deadline(clock, 5):
        await asyncio.sleep(0)
    await clock.advance_ms(60_000)
    assert not asyncio.current_task().cancelling()


async def test_an_error_inside_and_a_cancellation_from_outside_pass_as_they_are() -> None:
    clock = VirtualClock()
    with pytest.raises(ZeroDivisionError):
        async with deadline(clock, 5):
            raise ZeroDivisionError

    async def work() -> None:
        async with deadline(clock, 5):
            await forever()

    task = asyncio.create_task(work())
    await clock.advance_ms(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_of_two_deadlines_the_shorter_one_ends_its_own_work_only() -> None:
    clock, seen = VirtualClock(), []

    async def work() -> None:
        async with deadline(clock, 10):
            try:
                async with deadline(clock, 2):
                    await forever()
            except TimeoutError:
                seen.append(clock.now_ns())
            seen.append("goes on")

    task = asyncio.create_task(work())
    await clock.advance_ms(3_000)
    await task
    assert seen == [2_000_000_000, "goes on"]


async def test_within_says_how_long_it_waited() -> None:
    clock = VirtualClock()
    task = asyncio.create_task(within(clock, 2, forever()))
    await clock.advance_ms(2_000)
    with pytest.raises(DeadlineError, match=r"2\.0 s"):
        await task
