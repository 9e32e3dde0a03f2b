"""Virtual time wakes sleepers in the order of their deadlines."""

import asyncio

from services.common.clock import SystemClock, VirtualClock, sleep_s


async def test_sleepers_wake_in_order_and_only_when_due():
    clock, woken = VirtualClock(), []

    async def sleeper(name, seconds):
        await sleep_s(clock, seconds)
        woken.append((name, clock.now_ns() / 1e9))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(sleeper("late", 2))
        tasks.create_task(sleeper("early", 1))
        await clock.advance_ms(1500)
        assert woken == [("early", 1.0)]
        await clock.advance_ms(500)
    assert woken == [("early", 1.0), ("late", 2.0)]


async def test_wall_time_follows_virtual_time():
    clock = VirtualClock()
    before = clock.wall()
    await clock.advance_ms(30_000)
    assert (clock.wall() - before).total_seconds() == 30


async def test_a_cancelled_sleeper_does_not_hold_up_the_rest():
    clock = VirtualClock()
    task = asyncio.create_task(sleep_s(clock, 1))
    await clock.advance_ms(1)
    task.cancel()
    await clock.advance_ms(5000)
    assert task.cancelled()


async def test_the_system_clock_is_monotonic():
    clock = SystemClock()
    first = clock.now_ns()
    await clock.sleep_until_ns(first + 1_000_000)
    assert clock.now_ns() >= first + 1_000_000
