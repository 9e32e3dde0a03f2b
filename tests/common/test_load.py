"""How full a service says it is."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from services.common.clock import VirtualClock
from services.common.load import Load, LoadMetrics, QueueState, Utilisation

MS = 1_000_000


def test_a_queue_that_nothing_moves_is_still_seen_to_age():
    clock = VirtualClock()
    metrics = LoadMetrics(("test-kind",), clock)
    metrics.show(Load((QueueState.of("test-kind", [clock.now_ns()]),)))
    clock.advance_now_ms(250)
    assert REGISTRY.get_sample_value("trunkline_queue_oldest_ms", {"kind": "test-kind"}) == 250
    metrics.show(Load((QueueState("test-kind"),)))
    clock.advance_now_ms(250)
    assert REGISTRY.get_sample_value("trunkline_queue_oldest_ms", {"kind": "test-kind"}) == 0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 2000)), min_size=1, max_size=50))
def test_utilisation_is_a_share_and_follows_what_runs(steps: list[tuple[int, int]]):
    busy, now_ms = Utilisation(slots=4), 0
    for running, ms in steps:
        busy.update(running, now_ms * MS)
        now_ms += ms
        assert 0 <= busy.value(now_ms * MS) <= 1
    busy.update(2, now_ms * MS)
    assert abs(busy.value((now_ms + 60_000) * MS) - 0.5) < 0.001
