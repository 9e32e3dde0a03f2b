"""The order of steps on virtual time: due before ahead, calls in turn, and what `Load` says."""

from hypothesis import given
from hypothesis import strategies as st

from services.tts.steps import Step, StepQueue

MS = 1_000_000


def step(call: str, deadline_ms: float, queued_ms: float = 0) -> Step:
    return Step(lambda: None, int(deadline_ms * MS), int(queued_ms * MS), call)


def drained(queue: StepQueue, now_ms: float, each_ms: float = 10) -> list[Step]:
    """Everything in the order it runs, on one thread."""
    order = []
    while (taken := queue.take(int(now_ms * MS))) is not None:
        order.append(taken)
        now_ms += each_ms
        queue.finished(taken, int(now_ms * MS))
    return order


def test_first_audio_goes_before_later_audio_of_calls_that_have_some_in_hand():
    queue = StepQueue(1)
    ahead = [step(f"a{i}", 2000 + i) for i in range(3)]
    first = step("new", 100, queued_ms=100)
    for item in (*ahead, first):
        queue.add(item)
    assert drained(queue, 100) == [first, *ahead]


def test_a_listener_who_hears_silence_already_goes_before_one_who_has_waited_less():
    queue = StepQueue(1)
    dry, first = step("dry", 50), step("new", 90, queued_ms=90)
    queue.add(first)
    queue.add(dry)
    assert drained(queue, 100) == [dry, first]


@given(flood=st.integers(1, 30), others=st.integers(1, 5), age=st.lists(st.integers(0, 500), min_size=40))
def test_however_many_streams_a_call_opens_every_other_waits_one_step_of_it_at_most(flood, others, age):
    queue = StepQueue(1)
    for i in range(flood):
        queue.add(step("flood", 500 - age[i]))
    for i in range(others):
        queue.add(step(f"c{i}", 500 - age[-1 - i]))
    order = [item.call for item in drained(queue, 1000)]
    assert set(order[: others + 1]) == {"flood", *(f"c{i}" for i in range(others))}
    assert len(order) == flood + others


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3000)), min_size=1, max_size=20), st.integers(1, 3))
def test_no_more_run_than_there_are_threads_and_nothing_is_lost(items, workers):
    queue = StepQueue(workers)
    for call, deadline in items:
        queue.add(step(call, deadline))
    running, done, now = [], 0, 0
    while len(queue) or running:
        while (taken := queue.take(now * MS)) is not None:
            running.append(taken)
        assert 0 < len(running) <= workers
        now += 10
        queue.finished(running.pop(0), now * MS)
        done += 1
    assert done == len(items)


def test_load_tells_who_hears_silence_from_who_does_not_and_how_busy_the_threads_are():
    queue = StepQueue(2)
    for item in (step("a", 0), step("b", 0), step("late", 100), step("ahead", 5000)):
        queue.add(item)
    assert [queue.take(0), queue.take(0), queue.take(0)][2] is None
    load = queue.load(300 * MS)
    answer = load.to_proto(300 * MS)
    assert [(q.kind, q.waiting, q.oldest_ms) for q in answer.queues] == [("due", 1, 200), ("ahead", 1, 300)]
    assert load.slots == 2
    assert queue.load(60_000 * MS).utilisation > 0.99


def test_a_step_that_nobody_wants_any_more_never_runs():
    queue = StepQueue(1)
    gone, stays = step("a", 0), step("b", 1)
    queue.add(gone)
    queue.add(stays)
    assert queue.remove(gone)
    assert drained(queue, 10) == [stays]
    assert not queue.remove(stays)
