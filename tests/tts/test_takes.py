"""Takes, the phrase cache and the scheduler, with renderings whose every step the test controls."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from services.common.clock import SystemClock, VirtualClock
from services.common.errors import TrunklineError
from services.common.load import Load
from services.tts.cache import PhraseCache, PhraseKey
from services.tts.scheduler import DeadlineScheduler
from services.tts.take import Plan, T


class InlineRunner:
    """Runs steps at once on the loop, after a turn of it."""

    def __init__(self) -> None:
        self.steps = 0

    async def run(self, step: Callable[[], T], deadline_ns: int, call: str = "") -> T:
        self.steps += 1
        await asyncio.sleep(0)
        return step()

    def lateness_ms(self) -> float:
        return 0.0

    def load(self) -> Load:
        return Load()

    def close(self) -> None: ...


class FakeRendering:
    """`pieces` of audio, then the end; or an error at piece `fails_at`."""

    def __init__(self, pieces: int = 3, size: int = 100, fails_at: int = -1) -> None:
        self.plan: Plan | None = None
        self.compute_ms = 0.0
        self.ended = False
        self.cancelled = False
        self._pieces, self._size, self._fails_at, self._at = pieces, size, fails_at, 0

    def step(self) -> bytes:
        if self.cancelled or self._at == self._fails_at:
            raise TrunklineError("broken")
        self.plan = Plan(self._pieces * self._size // 2, ())
        self._at += 1
        self.ended = self._at == self._pieces
        return bytes([self._at]) * self._size

    def cancel(self) -> None:
        self.cancelled = True


def key(text: str = "hello", rate: int = 16000, pace: float = 1.0) -> PhraseKey:
    return PhraseKey(text, "joe", "1", rate, pace, (text,))


async def play(cache: PhraseCache, phrase: PhraseKey, rendering: FakeRendering) -> tuple[bytes, bool]:
    take, cached = cache.take(phrase, lambda: rendering)
    try:
        audio, index = b"", 0
        while (piece := await take.piece(index, 0)) is not None:
            audio, index = audio + piece, index + 1
        return audio, cached
    finally:
        take.leave()


async def test_the_second_time_a_phrase_comes_from_the_cache_and_sounds_the_same() -> None:
    runner = InlineRunner()
    cache = PhraseCache(10_000, runner)
    first = await play(cache, key(), FakeRendering())
    second = await play(cache, key(), FakeRendering(fails_at=0))
    assert first[0] == second[0]
    assert (first[1], second[1]) == (False, True)
    assert runner.steps == 3


@pytest.mark.parametrize(
    "other",
    [
        key("Hello"),
        key(rate=8000),
        key(pace=1.2),
        PhraseKey("hello", "joe", "2", 16000, 1.0, ("hello",)),
        PhraseKey("hello", "joe", "1", 16000, 1.0, ("hal low",)),
    ],
)
async def test_text_rate_pace_model_version_and_what_is_said_make_another_phrase(other: PhraseKey) -> None:
    cache = PhraseCache(10_000, InlineRunner())
    await play(cache, key(), FakeRendering())
    assert (await play(cache, other, FakeRendering()))[1] is False


async def test_a_phrase_asked_for_twice_at_once_is_made_once() -> None:
    runner = InlineRunner()
    cache = PhraseCache(10_000, runner)
    results = await asyncio.gather(*(play(cache, key(), FakeRendering()) for _ in range(5)))
    assert len({audio for audio, _ in results}) == 1
    assert runner.steps == 3


async def test_the_least_recently_used_phrase_goes_first_when_the_bound_is_passed() -> None:
    cache = PhraseCache(650, InlineRunner())
    for text in ("a", "b", "a", "c"):
        await play(cache, key(text), FakeRendering())
    assert cache.size <= 650
    assert (await play(cache, key("a"), FakeRendering()))[1] is True
    assert (await play(cache, key("b"), FakeRendering()))[1] is False


async def test_a_phrase_larger_than_the_cache_is_spoken_and_not_kept() -> None:
    cache = PhraseCache(200, InlineRunner())
    assert len((await play(cache, key(), FakeRendering()))[0]) == 300
    assert (len(cache), cache.size) == (0, 0)


async def test_a_failed_phrase_tells_every_listener_and_is_tried_again_next_time() -> None:
    cache = PhraseCache(10_000, InlineRunner())
    results = await asyncio.gather(
        *(play(cache, key(), FakeRendering(fails_at=1)) for _ in range(2)), return_exceptions=True
    )
    assert all(isinstance(result, TrunklineError) for result in results)
    assert (await play(cache, key(), FakeRendering()))[1] is False


async def test_when_one_of_two_listeners_leaves_the_other_still_hears_all() -> None:
    cache = PhraseCache(10_000, InlineRunner())
    rendering = FakeRendering()
    leaving, _ = cache.take(key(), lambda: rendering)
    staying = asyncio.create_task(play(cache, key(), FakeRendering(fails_at=0)))
    await leaving.piece(0, 0)
    leaving.leave()
    assert len((await staying)[0]) == 300
    assert not rendering.cancelled


async def test_when_the_last_listener_leaves_the_computation_is_cancelled_and_nothing_is_kept() -> None:
    cache = PhraseCache(10_000, InlineRunner())
    rendering = FakeRendering()
    take, _ = cache.take(key(), lambda: rendering)
    await take.piece(0, 0)
    take.leave()
    assert rendering.cancelled
    assert (await play(cache, key(), FakeRendering()))[1] is False


async def test_no_step_runs_that_nobody_waits_for() -> None:
    runner = InlineRunner()
    take, _ = PhraseCache(10_000, runner).take(key(), FakeRendering)
    await take.piece(0, 0)
    for _ in range(10):
        await asyncio.sleep(0)
    assert runner.steps == 1
    take.leave()


async def test_steps_run_earliest_deadline_first_and_equals_in_order() -> None:
    scheduler = DeadlineScheduler(1, VirtualClock())
    gate = threading.Event()
    order: list[str] = []
    blocker = asyncio.create_task(scheduler.run(gate.wait, 0))
    await asyncio.sleep(0)
    jobs = [("later", 900), ("soon", 100), ("also soon", 100), ("now", 1)]
    tasks = [asyncio.create_task(scheduler.run(lambda n=name: order.append(n), at)) for name, at in jobs]
    await asyncio.sleep(0)
    assert scheduler.waiting == 4
    gate.set()
    await asyncio.gather(blocker, *tasks)
    assert order == ["now", "soon", "also soon", "later"]
    scheduler.close()


async def test_lateness_counts_from_when_a_step_was_due_and_found_no_thread() -> None:
    clock = VirtualClock()
    scheduler = DeadlineScheduler(1, clock)
    gate = threading.Event()
    blocker = asyncio.create_task(scheduler.run(gate.wait, 0))
    await asyncio.sleep(0)
    due = [asyncio.create_task(scheduler.run(lambda: None, int(ms * 1e6))) for ms in (300, 5000)]
    await asyncio.sleep(0)
    assert scheduler.lateness_ms() == 0
    clock.advance_now_ms(1000)
    assert scheduler.lateness_ms() == 700
    gate.set()
    await asyncio.gather(blocker, *due)
    assert scheduler.lateness_ms() == 0
    scheduler.close()


async def test_a_step_cancelled_while_it_waits_never_runs() -> None:
    scheduler = DeadlineScheduler(1, SystemClock())
    gate, ran = threading.Event(), []
    blocker = asyncio.create_task(scheduler.run(gate.wait, 0))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(scheduler.run(lambda: ran.append(1), 0))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.set()
    await blocker
    assert (scheduler.waiting, ran) == (0, [])
    scheduler.close()
