"""The prediction on virtual time: what it lets in, what it refuses, and that callers let in are served in time.

The model service of the simulation is a queue with declared times, and stands for nothing else.
"""

import heapq
import itertools
import random
from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.load import Utilisation
from services.common.settings import AdmissionSettings
from services.orchestrator.admission import Predictor, ServiceLoad, percentile, wait_p95_ms

S = 1_000_000_000
IDLE = {"llm": ServiceLoad(0, 0.05, 4, 300)}


def predictor(workers: int = 1, **changes: object) -> Predictor:
    return Predictor(AdmissionSettings(**{"target_p95_ms": 1000, **changes}), workers)  # type: ignore[arg-type]


def talk(it: Predictor, ms: float, calls: int, turns: int = 20, load: dict[str, ServiceLoad] | None = None) -> int:
    """Half a second between looks, a turn each time; the time it then is."""
    for i in range(turns):
        it.looked(load or IDLE, calls, i * S // 2)
        it.measured(ms, i * S // 2)
    return turns * S // 2


def test_before_there_is_evidence_calls_are_taken_up_to_a_bound() -> None:
    it = predictor(cold_calls=3)
    assert [it.judge(calls, 0).refusal for calls in (0, 2, 3, 9)] == [None, None, "cold", "cold"]
    assert it.judge(2, 0).predicted_ms is None


def test_with_evidence_of_short_waits_many_more_are_taken() -> None:
    it = predictor(cold_calls=3)
    now = talk(it, 500, calls=3)
    verdict = it.judge(20, now)
    assert verdict.refusal is None
    assert verdict.predicted_ms is not None
    assert 500 <= verdict.predicted_ms < 1000


def test_a_measured_p95_past_the_target_refuses_and_evidence_expires() -> None:
    it = predictor()
    now = talk(it, 1100, calls=5)
    assert it.judge(5, now).refusal == "p95"
    # The one call that is nobody's neighbour is always taken.
    assert it.judge(0, now).refusal is None
    assert it.judge(3, now + 31 * S).refusal is None


def test_one_call_more_is_refused_before_the_target_is_passed_when_a_service_is_nearly_full() -> None:
    it = predictor(target_p95_ms=850)
    now = talk(it, 700, calls=8, load={"llm": ServiceLoad(0, 0.8, 1, 300)})
    verdict = it.judge(8, now)
    assert verdict.refusal == "p95"
    assert verdict.predicted_ms is not None
    assert verdict.predicted_ms > 850


def test_a_service_that_one_call_more_would_keep_busy_all_the_time_is_saturated_whatever_was_measured() -> None:
    it = predictor()
    now = talk(it, 300, calls=8, load={"tts": ServiceLoad(0, 0.9, 2, 20)})
    assert it.judge(8, now).refusal == "saturated"
    assert it.judge(7, now).refusal is None


def test_a_queue_that_ages_refuses_at_once_and_without_any_turn_measured() -> None:
    it = predictor()
    it.looked({"llm": ServiceLoad(oldest_ms=1200)}, 1, 0)
    assert it.judge(1, 0).refusal == "jam"
    it.looked({"llm": ServiceLoad(oldest_ms=0)}, 1, S)
    assert it.judge(1, S).refusal is None
    now = talk(it, 600, calls=2)
    it.looked({"llm": ServiceLoad(oldest_ms=300), "asr": ServiceLoad(oldest_ms=200)}, 2, now)
    assert it.judge(2, now).refusal == "jam"


def test_once_refusing_it_takes_calls_again_only_well_below_the_target() -> None:
    it = predictor(resume_ratio=0.8)
    now = talk(it, 1100, calls=5)
    assert it.judge(5, now).refusal == "p95"
    it = _continued(it, now, 900)
    assert it.judge(5, now + 40 * S).refusal == "p95"
    it = _continued(it, now + 40 * S, 700)
    assert it.judge(5, now + 80 * S).refusal is None
    it = _continued(it, now + 80 * S, 900)
    assert it.judge(5, now + 120 * S).refusal is None


def _continued(it: Predictor, now: int, ms: float) -> Predictor:
    for i in range(80):
        it.looked(IDLE, 5, now + i * S // 2)
        it.measured(ms, now + i * S // 2)
    return it


def test_calls_that_have_just_been_taken_count_before_they_have_said_anything() -> None:
    it = predictor()
    now = talk(it, 500, calls=2, load={"llm": ServiceLoad(0, 0.3, 1, 300)})
    assert it.judge(3, now).refusal is None
    assert it.judge(6, now).refusal in ("p95", "saturated")


def test_of_several_workers_one_more_call_is_a_smaller_part_of_all() -> None:
    load = {"llm": ServiceLoad(0, 0.75, 1, 100)}
    alone, shared = predictor(), predictor(workers=4)
    verdicts = []
    for it in (alone, shared):
        now = talk(it, 500, calls=3, load=load)
        verdicts.append(it.judge(3, now))
    assert verdicts[0].refusal == "saturated"
    assert verdicts[1].refusal is None


@given(st.integers(1, 300), st.floats(0, 1), st.integers(1, 64), st.floats(1, 2000))
def test_the_wait_grows_with_the_callers_and_is_bounded_by_all_others_being_there(
    calls: int, each: float, slots: int, ms: float
) -> None:
    load = ServiceLoad(0, 0, slots, ms)
    waits = [wait_p95_ms(n, each, load) for n in (calls, calls + 0.5, calls + 1)]
    assert 0 <= waits[0] <= waits[1] <= waits[2] <= (calls + 1) * ms / slots


@pytest.mark.parametrize(("calls", "slots"), [(4, 1), (8, 1), (12, 2), (40, 4)])
def test_the_wait_is_about_that_of_callers_who_really_take_turns(calls: int, slots: int) -> None:
    hall = Hall(slots, 500, 5000, seed=3, base_ms=0)
    hall.run(None, every_ms=1, for_ms=2_000_000, most=calls)
    predicted = wait_p95_ms(calls, 500 / 5500, ServiceLoad(0, 0, slots, 500))
    # A piece of work in its place is half done when the next one comes: the prediction counts it whole.
    assert 0.9 * hall.p95_ms(10_000) - 100 <= predicted <= 1.5 * hall.p95_ms(10_000) + 500 / slots


@dataclass
class Hall:
    """Calls that talk to a service of so many places: think, ask, wait for a place, be served; on virtual time."""

    slots: int
    service_ms: float
    turn_ms: float
    seed: int
    base_ms: float = 400
    rng: random.Random = field(init=False)
    turns: list[tuple[float, float]] = field(default_factory=list)
    refused: int = 0
    taken: int = 0

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)

    def run(self, it: Predictor | None, every_ms: float, for_ms: float, most: int = 10_000) -> None:
        """A new call every so often, none of which ends."""
        tie = itertools.count()
        events: list[tuple[float, int, str]] = []
        waiting: deque[float] = deque()
        busy, running, calls = Utilisation(self.slots), 0, 0

        def at(ms: float, kind: str) -> None:
            heapq.heappush(events, (ms, next(tie), kind))

        at(0, "call")
        at(0, "look")
        while events[0][0] < for_ms:
            now, _, kind = heapq.heappop(events)
            now_ns = int(now * 1e6)
            if kind == "look":
                if it is not None:
                    oldest = now - waiting[0] if waiting else 0.0
                    load = ServiceLoad(oldest, busy.value(now_ns), self.slots, self.service_ms)
                    it.looked({"llm": load}, calls, now_ns)
                at(now + 500, "look")
            elif kind == "call":
                if it is None or it.judge(calls, now_ns).refusal is None:
                    calls, self.taken = calls + 1, self.taken + 1
                    at(now + self.rng.uniform(0, self.turn_ms), "ask")
                else:
                    self.refused += 1
                if calls < most:
                    at(now + every_ms, "call")
            elif kind == "ask":
                waiting.append(now)
            else:
                running -= 1
            while waiting and running < self.slots:
                asked = waiting.popleft()
                running += 1
                served = self.rng.uniform(0.5, 1.5) * self.service_ms
                answered = now - asked + self.base_ms
                self.turns.append((now, answered))
                if it is not None:
                    it.measured(answered, now_ns)
                at(now + served, "done")
                at(now + served + self.rng.uniform(0.5, 1.5) * self.turn_ms, "ask")
            busy.update(running, now_ns)

    def p95_ms(self, from_ms: float) -> float:
        return percentile(sorted(ms for at, ms in self.turns if at >= from_ms), 0.95)


def _halls(count: int) -> list[tuple[int, int, int, int]]:
    rng = random.Random(7)
    some = [
        (rng.randint(1, 8), rng.randint(100, 1200), rng.randint(3000, 9000), rng.randint(0, 10_000))
        for _ in range(count)
    ]
    # Halls in which an earlier prediction let in one call too many: few turns were known, and taken at their word.
    return [*some, (1, 1132, 3552, 1140), (2, 885, 7018, 3233), (2, 819, 6442, 2026)]


@pytest.mark.parametrize(("slots", "service_ms", "turn_ms", "seed"), _halls(25))
def test_however_many_call_those_let_in_keep_their_p95(slots: int, service_ms: int, turn_ms: int, seed: int) -> None:
    target = 400 + 2.5 * service_ms
    it = Predictor(AdmissionSettings(target_p95_ms=int(target)))
    hall = Hall(slots, service_ms, turn_ms, seed)
    most = slots * (turn_ms + service_ms) / service_ms
    hall.run(it, every_ms=1500, for_ms=1500 * most + 120_000)
    assert hall.refused
    # Chance remains: five seconds of bad luck are not known before they are over. Of 1,000 other random halls 94 % keep
    # the target itself, and four pass it by more than a quarter.
    assert hall.p95_ms(30_000) <= target * 1.25
    # Nor are half the places left empty for fear.
    assert hall.taken >= 0.5 * most or hall.taken >= most - 4


def test_without_it_the_same_callers_wait_for_ever() -> None:
    hall = Hall(1, 500, 5000, seed=1)
    hall.run(None, every_ms=1500, for_ms=120_000)
    assert hall.p95_ms(60_000) > 10_000
