"""Decisions of the scheduler on virtual time: order, batches, refusals, what is dropped."""

from collections.abc import Hashable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.asr.cost import CostModel
from services.asr.scheduler import NS_PER_MS, Job, Priority, Scheduler
from services.common.clock import VirtualClock
from services.common.errors import OverloadedError

FINAL, PARTIAL = Priority.FINAL, Priority.PARTIAL


def make(
    clock: VirtualClock, key: Hashable, priority: Priority = FINAL, deadline_ms: float = 800, **changes: Any
) -> Job:
    values: dict[str, Any] = {
        "group": "g",
        "window_ms": 10_000,
        "audio_ms": 2_000,
        "arrival_ns": clock.now_ns(),
        "deadline_ns": clock.now_ns() + int(deadline_ms * NS_PER_MS),
    }
    return Job(key=key, priority=priority, **(values | changes))


def keys(scheduler: Scheduler, clock: VirtualClock) -> list[Hashable]:
    return [job.key for job in scheduler.next_batch(clock.now_ns()).batch]


def finish(scheduler: Scheduler, clock: VirtualClock, ms: float) -> None:
    clock.advance_now_ms(ms)
    scheduler.finished(clock.now_ns(), complete=True)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


def test_finals_go_before_partials_whatever_their_deadlines(clock: VirtualClock) -> None:
    scheduler = Scheduler(max_batch=4, max_queue_ms=3000)
    scheduler.submit(make(clock, "partial", PARTIAL, 500), clock.now_ns())
    scheduler.submit(make(clock, "final", FINAL, 2000), clock.now_ns())
    assert keys(scheduler, clock) == ["final"]
    finish(scheduler, clock, 100)
    assert keys(scheduler, clock) == ["partial"]


def test_the_nearest_deadline_goes_first(clock: VirtualClock) -> None:
    scheduler = Scheduler(max_batch=1, max_queue_ms=3000)
    for key, deadline in (("late", 900), ("soon", 300), ("middle", 600)):
        scheduler.submit(make(clock, key, deadline_ms=deadline), clock.now_ns())
    order = []
    for _ in range(3):
        order += keys(scheduler, clock)
        finish(scheduler, clock, 50)
    assert order == ["soon", "middle", "late"]


def test_jobs_of_one_group_share_a_batch_and_others_wait(clock: VirtualClock) -> None:
    scheduler = Scheduler(max_batch=8, max_queue_ms=5000)
    for i in range(3):
        scheduler.submit(make(clock, i, deadline_ms=3000), clock.now_ns())
    scheduler.submit(make(clock, "other", deadline_ms=3001, group="h"), clock.now_ns())
    assert keys(scheduler, clock) == [0, 1, 2]
    finish(scheduler, clock, 300)
    assert keys(scheduler, clock) == ["other"]


def test_a_batch_does_not_grow_past_the_deadline_of_any_member(clock: VirtualClock) -> None:
    scheduler = Scheduler(max_batch=8, max_queue_ms=5000)
    for _ in range(30):
        scheduler.learn(FINAL, 12, 130)
    scheduler.submit(make(clock, "tight", deadline_ms=150), clock.now_ns())
    scheduler.submit(make(clock, "loose", deadline_ms=3000), clock.now_ns())
    assert keys(scheduler, clock) == ["tight"]


def test_when_the_first_is_late_already_the_batch_is_full_for_throughput(clock: VirtualClock) -> None:
    scheduler = Scheduler(max_batch=4, max_queue_ms=50_000)
    for i in range(6):
        scheduler.submit(make(clock, i, deadline_ms=10), clock.now_ns())
    assert len(scheduler.next_batch(clock.now_ns()).batch) == 4


def test_work_that_would_start_too_late_is_refused_with_a_time_to_retry(clock: VirtualClock) -> None:
    scheduler = Scheduler(max_batch=1, max_queue_ms=500)
    with pytest.raises(OverloadedError) as refused:
        [scheduler.submit(make(clock, i, deadline_ms=10_000 + i), clock.now_ns()) for i in range(20)]
    assert 1 <= len(scheduler) < 20
    assert 0 < refused.value.retry_after_s < 1
    before = scheduler.queue_ms(clock.now_ns())
    assert before <= 500 + 140


def test_after_the_named_time_of_progress_the_refused_work_is_accepted(clock: VirtualClock) -> None:
    scheduler = Scheduler(max_batch=1, max_queue_ms=500)
    scheduler.learn(FINAL, 12, 130)
    number = 0
    retry_s = 0.0
    while not retry_s:
        try:
            scheduler.submit(make(clock, number, deadline_ms=10_000 + number), clock.now_ns())
            number += 1
        except OverloadedError as error:
            retry_s = error.retry_after_s
    waited_ms = 0.0
    while waited_ms < retry_s * 1000:
        scheduler.next_batch(clock.now_ns())
        finish(scheduler, clock, 130)
        waited_ms += 130
    assert scheduler.submit(make(clock, "again", deadline_ms=10_000), clock.now_ns()) is None


def test_an_idle_recogniser_refuses_nothing_not_even_an_impossible_deadline(clock: VirtualClock) -> None:
    scheduler = Scheduler(max_batch=1, max_queue_ms=1)
    scheduler.submit(make(clock, "a", deadline_ms=1, audio_ms=30_000), clock.now_ns())
    assert keys(scheduler, clock) == ["a"]


def test_a_partial_that_the_queue_would_make_late_is_refused_but_a_final_is_not(clock: VirtualClock) -> None:
    scheduler = Scheduler(max_batch=1, max_queue_ms=10_000)
    for i in range(5):
        scheduler.submit(make(clock, i, deadline_ms=200), clock.now_ns())
    with pytest.raises(OverloadedError):
        scheduler.submit(make(clock, "partial", PARTIAL, deadline_ms=400), clock.now_ns())
    assert scheduler.submit(make(clock, "final", deadline_ms=400), clock.now_ns()) is None


def test_partials_never_cause_the_refusal_of_a_final(clock: VirtualClock) -> None:
    scheduler = Scheduler(max_batch=1, max_queue_ms=200)
    for i in range(50):
        try:
            scheduler.submit(make(clock, i, PARTIAL, 1500), clock.now_ns())
        except OverloadedError:
            break
    assert scheduler.submit(make(clock, "final"), clock.now_ns()) is None
    assert keys(scheduler, clock) == ["final"]


def test_a_newer_partial_replaces_the_waiting_one(clock: VirtualClock) -> None:
    scheduler = Scheduler(max_batch=4, max_queue_ms=3000)
    old, new = make(clock, "k", PARTIAL), make(clock, "k", PARTIAL)
    assert scheduler.submit(old, clock.now_ns()) is None
    assert scheduler.submit(new, clock.now_ns()) is old
    assert scheduler.next_batch(clock.now_ns()).batch == (new,)


def test_a_partial_whose_like_runs_is_not_queued(clock: VirtualClock) -> None:
    scheduler = Scheduler(max_batch=4, max_queue_ms=3000)
    scheduler.submit(make(clock, "k", PARTIAL), clock.now_ns())
    scheduler.next_batch(clock.now_ns())
    again = make(clock, "k", PARTIAL)
    assert scheduler.submit(again, clock.now_ns()) is again
    assert len(scheduler) == 0


def test_a_late_partial_is_dropped_and_a_late_final_is_decoded(clock: VirtualClock) -> None:
    scheduler = Scheduler(max_batch=4, max_queue_ms=3000)
    partial, final = make(clock, "partial", PARTIAL, 300), make(clock, "final", FINAL, 300)
    scheduler.submit(partial, clock.now_ns())
    scheduler.submit(final, clock.now_ns())
    clock.advance_now_ms(400)
    plan = scheduler.next_batch(clock.now_ns())
    assert (plan.batch, plan.dropped) == ((final,), (partial,))


def test_cancelled_work_leaves_the_queue(clock: VirtualClock) -> None:
    scheduler = Scheduler(max_batch=4, max_queue_ms=3000)
    job = make(clock, "k")
    scheduler.submit(job, clock.now_ns())
    scheduler.cancel(job)
    assert scheduler.next_batch(clock.now_ns()).batch == ()
    assert job.cancelled


def test_running_partials_yield_between_encoder_and_decoder_to_a_final(clock: VirtualClock) -> None:
    scheduler = Scheduler(max_batch=4, max_queue_ms=3000)
    scheduler.submit(make(clock, "p", PARTIAL), clock.now_ns())
    scheduler.next_batch(clock.now_ns())
    assert not scheduler.should_yield()
    scheduler.submit(make(clock, "f"), clock.now_ns())
    assert scheduler.should_yield()


def test_a_promoted_provisional_moves_to_its_new_deadline(clock: VirtualClock) -> None:
    scheduler = Scheduler(max_batch=1, max_queue_ms=3000)
    first, second = make(clock, "a", deadline_ms=500), make(clock, "b", deadline_ms=800)
    scheduler.submit(first, clock.now_ns())
    scheduler.submit(second, clock.now_ns())
    scheduler.promote(second, clock.now_ns() + 200 * NS_PER_MS)
    assert keys(scheduler, clock) == ["b"]


def test_partials_become_rarer_and_then_stop_as_the_decoder_fills_up(clock: VirtualClock) -> None:
    scheduler = Scheduler(max_batch=1, max_queue_ms=3000)
    hops = [scheduler.partial_hop_ms(500, clock.now_ns())]
    for i in range(60):
        scheduler.submit(make(clock, i), clock.now_ns())
        scheduler.next_batch(clock.now_ns())
        finish(scheduler, clock, 100)
        hops.append(scheduler.partial_hop_ms(500, clock.now_ns()))
    assert list(dict.fromkeys(hops)) == [500, 1000, 2000, None]
    clock.advance_now_ms(5000)
    assert scheduler.partial_hop_ms(500, clock.now_ns()) == 500
    assert scheduler.partial_hop_ms(0, clock.now_ns()) is None


def test_the_load_says_who_waits_by_kind_and_how_long_the_oldest_has(clock: VirtualClock) -> None:
    scheduler = Scheduler(max_batch=1, max_queue_ms=3000)
    assert [queue.oldest_ns for queue in scheduler.load(clock.now_ns()).queues] == [None, None]
    clock.advance_now_ms(10)
    scheduler.submit(make(clock, "a"), clock.now_ns())
    clock.advance_now_ms(70)
    scheduler.submit(make(clock, "b"), clock.now_ns())
    scheduler.submit(make(clock, "p", PARTIAL, 1000), clock.now_ns())
    answer = scheduler.load(clock.now_ns()).to_proto(clock.now_ns())
    assert [(q.kind, q.waiting, q.oldest_ms) for q in answer.queues] == [("final", 2, 70), ("partial", 1, 0)]


def test_only_finals_count_as_load_for_partials_give_way(clock: VirtualClock) -> None:
    shares = {}
    for priority in (FINAL, PARTIAL):
        scheduler = Scheduler(max_batch=1, max_queue_ms=3000)
        for i in range(100):
            scheduler.submit(make(clock, i, priority, 5000), clock.now_ns())
            scheduler.next_batch(clock.now_ns())
            finish(scheduler, clock, 100)
            clock.advance_now_ms(100)
        shares[priority] = scheduler.load(clock.now_ns())
    assert 0.45 < shares[FINAL].utilisation < 0.55
    assert round(shares[FINAL].service_ms) == 100
    assert shares[PARTIAL].utilisation == 0


@given(flood=st.integers(1, 40), hurry_ms=st.integers(1, 3000), wanted_ms=st.integers(150, 3000))
@settings(max_examples=60)
def test_however_much_one_call_asks_it_makes_no_other_call_s_final_late(
    flood: int, hurry_ms: int, wanted_ms: int
) -> None:
    clock = VirtualClock()
    scheduler = Scheduler(max_batch=1, max_queue_ms=10_000_000)
    for _ in range(30):
        scheduler.learn(FINAL, 12, 100)
    for i in range(flood):
        scheduler.submit(make(clock, ("x", i), deadline_ms=hurry_ms, call="x"), clock.now_ns())
    scheduler.submit(make(clock, ("other", 0), deadline_ms=wanted_ms, call="other"), clock.now_ns())
    while keys(scheduler, clock) != [("other", 0)]:
        finish(scheduler, clock, 99)
    # It starts by its deadline, but for the one job that ran when that came.
    assert clock.now_ns() / NS_PER_MS <= wanted_ms + 100


@given(st.lists(st.integers(1, 400), min_size=5, max_size=30))
@settings(max_examples=60)
def test_a_call_that_always_asks_for_the_nearest_deadline_cannot_keep_another_past_its_own(times: list[int]) -> None:
    """It comes again as soon as it was served, in a hurry: deadlines are points in time, so the other's comes."""
    clock = VirtualClock()
    scheduler = Scheduler(max_batch=1, max_queue_ms=10_000_000)
    scheduler.submit(make(clock, ("victim", 0), deadline_ms=800, call="victim"), clock.now_ns())
    for i in range(200):
        scheduler.submit(make(clock, ("greedy", i), deadline_ms=1, call="greedy"), clock.now_ns())
        if keys(scheduler, clock) == [("victim", 0)]:
            break
        finish(scheduler, clock, times[i % len(times)])
    assert clock.now_ns() / NS_PER_MS <= 800 + max(times)


@given(st.lists(st.tuples(st.sampled_from(["x", "y", "z"]), st.integers(1, 2000)), min_size=1, max_size=30))
@settings(max_examples=60)
def test_the_flood_of_one_call_is_refused_before_the_first_final_of_another(jobs: list[tuple[str, int]]) -> None:
    clock = VirtualClock()
    scheduler = Scheduler(max_batch=1, max_queue_ms=500)
    for _ in range(30):
        scheduler.learn(FINAL, 12, 120)
    refused = set()
    for i, (call, deadline_ms) in enumerate(jobs):
        try:
            scheduler.submit(make(clock, (call, i), deadline_ms=deadline_ms, call=call), clock.now_ns())
        except OverloadedError:
            refused.add(call)
    # Three calls' firsts fit into the queue's 500 ms: none of those may be the one refused.
    assert {key[0] for key in scheduler._queue} == {call for call, _ in jobs}  # type: ignore[index]
    assert refused <= {call for call, _ in jobs if sum(c == call for c, _ in jobs) > 1}


@given(st.floats(0, 50), st.floats(1, 40), st.lists(st.floats(10, 200), min_size=60, max_size=60))
@settings(max_examples=50)
def test_the_cost_model_learns_a_line_and_never_predicts_negative_time(
    base: float, slope: float, sizes: list[float]
) -> None:
    model = CostModel()
    for units in sizes:
        model.learn(units, base + slope * units)
    assert model.base_ms >= 0
    assert model.ms_per_unit >= 0
    if max(sizes) - min(sizes) > 30:
        truth = base + slope * sizes[-1]
        assert model.predict_ms(sizes[-1]) == pytest.approx(truth, rel=0.5)


class AnyOrder(RuleBasedStateMachine):
    """Whatever is submitted, cancelled and run in whatever order."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock()
        self.scheduler = Scheduler(max_batch=3, max_queue_ms=800)
        self.waiting: dict[Hashable, Job] = {}
        self.running: tuple[Job, ...] = ()

    @rule(
        key=st.integers(0, 6),
        final=st.booleans(),
        deadline=st.integers(1, 3000),
        group=st.sampled_from("ab"),
        audio_ms=st.integers(100, 20_000),
    )
    def submit(self, key: int, final: bool, deadline: int, group: str, audio_ms: int) -> None:
        priority = FINAL if final else PARTIAL
        job = make(self.clock, (key, final), priority, deadline, group=group, audio_ms=audio_ms)
        idle = not self.running and not self.waiting
        refused: OverloadedError | None = None
        try:
            replaced = self.scheduler.submit(job, self.clock.now_ns())
        except OverloadedError as error:
            refused = error
        if refused is not None:
            assert not idle
            assert refused.retry_after_s > 0
            return
        assert replaced in (job, self.waiting.get(job.key))
        if replaced is not job:
            self.waiting[job.key] = job

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.waiting, key=str)))
        self.scheduler.cancel(self.waiting.pop(key))

    @precondition(lambda self: not self.running)
    @rule()
    def start(self) -> None:
        plan = self.scheduler.next_batch(self.clock.now_ns())
        left = [self.waiting.pop(job.key) for job in (*plan.batch, *plan.dropped)]
        assert left == [*plan.batch, *plan.dropped]
        assert len(plan.batch) <= 3
        assert len({(job.group, job.priority) for job in plan.batch}) <= 1
        if plan.batch and plan.batch[0].priority is PARTIAL:
            assert not [job for job in self.waiting.values() if job.priority is FINAL]
        if plan.batch:
            head = min(job.deadline_ns for job in plan.batch)
            same = [j.deadline_ns for j in self.waiting.values() if j.priority is plan.batch[0].priority]
            assert all(head <= deadline for deadline in same)
        else:
            assert not self.waiting
        self.running = plan.batch

    @precondition(lambda self: self.running)
    @rule(ms=st.integers(1, 600))
    def end(self, ms: int) -> None:
        finish(self.scheduler, self.clock, ms)
        self.running = ()

    @rule(ms=st.integers(0, 500))
    def wait(self, ms: int) -> None:
        self.clock.advance_now_ms(ms)

    @invariant()
    def counts(self) -> None:
        assert len(self.scheduler) == len(self.waiting)
        assert self.scheduler.queue_ms(self.clock.now_ns()) >= 0
        assert 0 <= self.scheduler.utilisation(self.clock.now_ns()) <= 1


AnyOrder.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAnyOrder = AnyOrder.TestCase
