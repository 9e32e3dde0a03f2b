"""The admission queue on virtual time: order, fairness, ageing, deadlines, refusal, pre-emption."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import OverloadedError
from services.llm.queue import SPECULATIVE_PRIORITY, WARM_PRIORITY, AdmissionQueue, Decision, Work

MS = 1_000_000


def work(name: str, *, call: str = "", priority: int = 0, at_ms: float = 0, deadline_ms: float | None = None) -> Work:
    return Work(
        work_id=name,
        call_id=call or name,
        priority=priority,
        arrived_ns=int(at_ms * MS),
        deadline_ns=None if deadline_ms is None else int(deadline_ms * MS),
    )


def enter(queue: AdmissionQueue, item: Work) -> Decision:
    return queue.enter(item, item.arrived_ns)


def drain(queue: AdmissionQueue, first: str, *, each_ms: float = 100, now_ms: float = 0) -> list[str]:
    """The order in which everything runs on one slot, starting with `first` in it."""
    order, current = [], first
    while current:
        order.append(current)
        now_ms += each_ms
        granted = queue.leave(current, int(now_ms * MS)).grant
        current = granted[0] if granted else ""
    return order


def test_a_free_slot_is_granted_at_once() -> None:
    queue = AdmissionQueue(slots=1, capacity=4)
    assert enter(queue, work("a")).grant == ("a",)
    assert enter(queue, work("b")).grant == ()
    assert (queue.running, queue.waiting) == (1, 1)


def test_within_a_priority_the_first_to_come_is_the_first_to_run() -> None:
    queue = AdmissionQueue(slots=1, capacity=8)
    for at, name in enumerate("abcd"):
        enter(queue, work(name, at_ms=at))
    assert drain(queue, "a", now_ms=10) == ["a", "b", "c", "d"]


def test_a_caller_who_waits_passes_speculation_and_warming() -> None:
    queue = AdmissionQueue(slots=1, capacity=8)
    enter(queue, work("first"))
    enter(queue, work("warm", priority=WARM_PRIORITY, at_ms=1))
    enter(queue, work("bet", priority=SPECULATIVE_PRIORITY, at_ms=2))
    enter(queue, work("caller", at_ms=3))
    assert drain(queue, "first", now_ms=10) == ["first", "caller", "bet", "warm"]


def test_speculation_that_has_waited_long_enough_is_not_starved() -> None:
    queue = AdmissionQueue(slots=1, capacity=64, ageing_ms=500)
    enter(queue, work("running"))
    enter(queue, work("bet", priority=SPECULATIVE_PRIORITY))
    enter(queue, work("late caller", at_ms=SPECULATIVE_PRIORITY * 500 + 1))
    assert queue.leave("running", 6_000 * MS).grant == ("bet",)


def test_one_call_with_many_requests_does_not_hold_up_another_call() -> None:
    queue = AdmissionQueue(slots=1, capacity=16, service_ms=800)
    for number in range(4):
        enter(queue, work(f"greedy{number}", call="greedy", at_ms=number))
    enter(queue, work("other", call="other", at_ms=10))
    order = drain(queue, "greedy0", now_ms=20)
    assert order.index("other") == 1


def test_a_calls_own_speculation_does_not_delay_what_its_caller_waits_for() -> None:
    queue = AdmissionQueue(slots=2, capacity=16)
    enter(queue, work("bet", call="c", priority=SPECULATIVE_PRIORITY))
    enter(queue, work("other", call="d", at_ms=1))
    enter(queue, work("turn", call="c", at_ms=2))
    enter(queue, work("later", call="e", at_ms=3))
    assert queue.leave("other", 10 * MS).grant == ("turn",)


def test_a_full_queue_refuses_and_says_when_to_retry() -> None:
    queue = AdmissionQueue(slots=1, capacity=2, service_ms=400)
    for name in "abc":
        enter(queue, work(name))
    with pytest.raises(OverloadedError) as refused:
        enter(queue, work("d"))
    assert refused.value.retry_after_s == pytest.approx(0.4 + 2 * 0.4)
    assert queue.waiting == 2


def test_a_waiting_caller_takes_the_place_of_speculation_in_a_full_queue() -> None:
    queue = AdmissionQueue(slots=1, capacity=1)
    enter(queue, work("running"))
    enter(queue, work("bet", priority=SPECULATIVE_PRIORITY))
    decision = enter(queue, work("caller", at_ms=1))
    assert [work_id for work_id, _ in decision.refuse] == ["bet"]
    assert isinstance(decision.refuse[0][1], OverloadedError)
    assert queue.leave("running", 5 * MS).grant == ("caller",)


def test_work_that_would_start_after_its_deadline_is_refused_at_once() -> None:
    queue = AdmissionQueue(slots=1, capacity=8, service_ms=1000)
    enter(queue, work("running"))
    with pytest.raises(OverloadedError):
        enter(queue, work("hurried", deadline_ms=900))
    assert enter(queue, work("patient", deadline_ms=1100)).grant == ()


def test_work_whose_deadline_passed_while_it_waited_is_refused_not_run() -> None:
    queue = AdmissionQueue(slots=1, capacity=8, service_ms=100)
    enter(queue, work("slow"))
    enter(queue, work("hurried", deadline_ms=500))
    decision = queue.leave("slow", 501 * MS)
    assert decision.grant == ()
    assert [work_id for work_id, _ in decision.refuse] == ["hurried"]


def test_speculation_in_a_slot_is_stopped_for_a_caller_who_waits() -> None:
    queue = AdmissionQueue(slots=1, capacity=8)
    enter(queue, work("bet", priority=SPECULATIVE_PRIORITY))
    decision = enter(queue, work("caller", at_ms=1, deadline_ms=50))
    assert decision.preempt == ("bet",)
    assert queue.leave("bet", 2 * MS).grant == ("caller",)


def test_one_bet_is_stopped_per_waiting_caller_and_the_youngest_first() -> None:
    queue = AdmissionQueue(slots=2, capacity=8)
    enter(queue, work("old bet", priority=SPECULATIVE_PRIORITY))
    enter(queue, work("young bet", priority=SPECULATIVE_PRIORITY, at_ms=5))
    assert enter(queue, work("caller", at_ms=6)).preempt == ("young bet",)
    assert queue.decide(7 * MS).preempt == ()
    assert enter(queue, work("second caller", at_ms=8)).preempt == ("old bet",)


def test_speculation_does_not_stop_speculation_but_does_stop_warming() -> None:
    queue = AdmissionQueue(slots=1, capacity=8)
    enter(queue, work("warm", priority=WARM_PRIORITY))
    assert enter(queue, work("bet", priority=SPECULATIVE_PRIORITY, at_ms=1)).preempt == ("warm",)
    queue.leave("warm", 2 * MS)
    assert enter(queue, work("other bet", priority=SPECULATIVE_PRIORITY, at_ms=3)).preempt == ()


def test_a_caller_is_never_stopped_for_another() -> None:
    queue = AdmissionQueue(slots=1, capacity=8)
    enter(queue, work("one"))
    assert enter(queue, work("two", at_ms=1)).preempt == ()


def test_cancelled_work_leaves_the_queue() -> None:
    queue = AdmissionQueue(slots=1, capacity=8)
    enter(queue, work("running"))
    enter(queue, work("gone"))
    enter(queue, work("next"))
    assert queue.leave("gone", 1 * MS) == Decision()
    assert queue.leave("running", 2 * MS).grant == ("next",)
    assert queue.leave("never heard of", 3 * MS) == Decision()


def test_the_retry_hint_follows_how_long_work_really_takes() -> None:
    queue = AdmissionQueue(slots=1, capacity=1, service_ms=100)
    for number in range(40):
        enter(queue, work(f"w{number}", at_ms=number * 2000))
        queue.leave(f"w{number}", (number * 2000 + 2000) * MS)
    assert queue.service_ms == pytest.approx(2000, rel=0.02)


STEPS = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 9), st.sampled_from([0, 0, 10, 20]), st.integers(0, 400)), max_size=60
)


@given(slots=st.integers(1, 3), capacity=st.integers(1, 5), steps=STEPS)
def test_whatever_happens_slots_and_queue_keep_their_bounds_and_all_work_gets_an_answer(
    slots: int, capacity: int, steps: list[tuple[int, int, int, int]]
) -> None:
    queue = AdmissionQueue(slots=slots, capacity=capacity)
    now, running, waiting = 0, set[str](), set[str]()

    def apply(decision: Decision) -> None:
        for work_id, _ in decision.refuse:
            waiting.remove(work_id)
        for work_id in decision.grant:
            waiting.remove(work_id)
            running.add(work_id)
        assert set(decision.preempt) <= running

    for number, (kind, pick, priority, ahead_ms) in enumerate(steps):
        now += ahead_ms * MS
        everything = sorted(running | waiting)
        if kind and everything:
            gone = everything[pick % len(everything)]
            decision = queue.leave(gone, now)
            running.discard(gone)
            waiting.discard(gone)
            apply(decision)
        else:
            name = f"w{number}"
            try:
                decision = queue.enter(
                    Work(name, f"call{pick % 3}", priority, now, now + 3000 * MS if pick % 2 else None), now
                )
            except OverloadedError:
                continue
            waiting.add(name)
            apply(decision)
        assert queue.running == len(running) <= slots
        assert queue.waiting == len(waiting) <= capacity
        assert not (waiting and len(running) < slots)


@given(flood=st.integers(1, 20), others=st.integers(1, 5), priority=st.sampled_from([0, SPECULATIVE_PRIORITY]))
def test_however_much_one_call_asks_every_other_waits_one_of_its_requests_at_most(
    flood: int, others: int, priority: int
) -> None:
    queue = AdmissionQueue(slots=1, capacity=64, service_ms=100)
    enter(queue, work("running", call="flood", priority=priority))
    for i in range(flood):
        enter(queue, work(f"flood-{i}", call="flood", priority=priority, at_ms=i * 0.01))
    for i in range(others):
        enter(queue, work(f"c{i}", call=f"c{i}", priority=priority, at_ms=1 + i))
    order = drain(queue, "running", now_ms=10)
    assert set(order[1 : 1 + others]) == {f"c{i}" for i in range(others)}
    assert len(order) == 1 + flood + others


@given(st.lists(st.sampled_from([0, SPECULATIVE_PRIORITY, WARM_PRIORITY]), min_size=2, max_size=12))
def test_of_what_comes_together_callers_run_before_bets_and_bets_before_warming(priorities: list[int]) -> None:
    queue = AdmissionQueue(slots=1, capacity=64)
    enter(queue, work("first"))
    for i, priority in enumerate(priorities):
        enter(queue, work(f"{priority}-{i}", priority=priority, at_ms=1))
    order = [int(name.split("-")[0]) for name in drain(queue, "first", each_ms=1, now_ms=2)[1:]]
    assert order == sorted(order)


def test_the_load_says_who_waits_by_kind_and_counts_no_warming() -> None:
    queue = AdmissionQueue(slots=2, capacity=8)
    enter(queue, work("warm", priority=WARM_PRIORITY))
    enter(queue, work("a", at_ms=0))
    for name, priority, at in (("b", 0, 10), ("c", 0, 20), ("bet", SPECULATIVE_PRIORITY, 30)):
        enter(queue, work(name, priority=priority, at_ms=at))
    load = queue.load(100 * MS).to_proto(100 * MS)
    assert [(q.kind, q.waiting, q.oldest_ms) for q in load.queues] == [
        ("waiting_caller", 2, 90),
        ("speculative", 1, 70),
        ("warm", 0, 0),
    ]
    # One of two slots: the other one only warms.
    assert 0.49 < queue.load(60_000 * MS).utilisation < 0.51
