"""Stalls of the event loop: the arithmetic on virtual time, and a planted stall on a real loop."""

import asyncio
import sys
import threading

import pytest
import structlog.testing
from prometheus_client import REGISTRY

from services.common.clock import SystemClock
from services.common.loop_monitor import PERIOD_NS, LoopMonitor, StallWatch, stack_of

MS = 1_000_000


def test_a_loop_that_answers_soon_is_never_reported() -> None:
    watch, now_ns = StallWatch(0), 0
    for look in range(100):
        now_ns += PERIOD_NS + 4 * MS * (look % 2)
        mark, starved = watch.look(now_ns, "busy" if look % 3 else "", 0)
        assert starved is None
        if mark:
            assert watch.answer(now_ns + 20 * MS, 0) is None


@pytest.mark.parametrize("begins_ms", range(25, 50, 4))
def test_a_stall_of_50_ms_is_reported_and_seen_wherever_in_the_period_it_begins(begins_ms: int) -> None:
    watch, stall = StallWatch(0), None
    for at_ms in (25, 50, 75, 100, 125):
        held = begins_ms <= at_ms < begins_ms + 50
        if not held and at_ms > begins_ms:
            stall = stall or watch.answer((begins_ms + 50) * MS, 48 * MS)
        watch.look(at_ms * MS, "slow" if held else "", 0)
    assert stall is not None
    assert stall.at_least_ns <= 50 * MS <= stall.at_least_ns + PERIOD_NS
    assert (stall.cpu_ns, stall.stack) == (48 * MS, "slow")


def test_the_newest_stack_of_a_stall_stands() -> None:
    watch = StallWatch(0)
    assert watch.look(25 * MS, "a", 0) == (True, None)
    assert watch.look(50 * MS, "b", 0) == (False, None)
    stall = watch.answer(90 * MS, 0)
    assert stall is not None
    assert stall.stack == "b"


def test_a_thread_that_could_not_look_for_long_says_so() -> None:
    watch = StallWatch(0)
    mark, starved = watch.look(25 * MS + 60 * MS, "", 0)
    assert not mark
    assert starved is not None
    assert (starved.at_least_ns, starved.stack) == (60 * MS, "not sampled")


def planted_stall() -> None:
    threading.Event().wait(0.3)


async def test_a_planted_stall_is_named_with_its_function_and_counted() -> None:
    def counted() -> float:
        return REGISTRY.get_sample_value("trunkline_loop_stall_seconds_count") or 0

    before = counted()
    monitor = LoopMonitor(SystemClock())
    with structlog.testing.capture_logs() as logs:
        # The thread has looked at an idle loop before.
        await asyncio.sleep(0)
        planted_stall()
        async with asyncio.timeout(5):
            while counted() == before:  # noqa: ASYNC110
                await asyncio.sleep(0)
    monitor.close()
    event = next(entry for entry in logs if "planted_stall" in entry["stack"])
    assert event["event"] == "event loop stalled"
    assert event["at_least_ms"] >= 200
    # It waited and did not compute.
    assert event["cpu_ms"] < event["at_least_ms"]


def test_a_stack_names_functions_only() -> None:
    frame = sys._getframe()
    assert stack_of(frame).endswith("test_loop_monitor.test_a_stack_names_functions_only")
    assert stack_of(None) == ""
