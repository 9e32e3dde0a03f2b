"""The event writer on virtual time, with a sink that can be away: order, batches, backoff, bounds."""

import asyncio

import pytest

from services.common.clock import VirtualClock
from services.common.errors import UnavailableError
from services.orchestrator.store.errors import StoreError
from services.orchestrator.store.writer import BATCH_EVENTS, EventWriter
from tests.store.examples import digit


class Sink:
    """Keeps batches; away or refusing a call on demand."""

    def __init__(self):
        self.batches = []
        self.away = False
        self.refused = ""
        self.attempts = 0

    async def append_batch(self, rows):
        self.attempts += 1
        if self.away:
            raise UnavailableError("away")
        if any(call_id == self.refused for call_id, _ in rows):
            raise StoreError("refused")
        self.batches.append([(call_id, event.seq) for call_id, event in rows])


class Lab:
    def __init__(self, max_events=100_000):
        self.clock, self.sink = VirtualClock(), Sink()
        self.writer = EventWriter(self.sink, self.clock, "none", max_events=max_events)
        self.writer.start()

    def put(self, call_id, *seqs):
        return [self.writer.put(call_id, seq, digit(at_ns=self.clock.now_ns())) for seq in seqs]

    @property
    def written(self):
        return [row for batch in self.sink.batches for row in batch]


@pytest.fixture
async def lab():
    lab = Lab()
    yield lab
    lab.writer._task.cancel()


async def test_events_of_all_calls_leave_in_one_batch_after_200_ms(lab):
    lab.put("a", 0)
    await lab.clock.advance_ms(100)
    lab.put("b", 0)
    lab.put("a", 1)
    await lab.clock.advance_ms(99)
    assert lab.sink.batches == []
    await lab.clock.advance_ms(2)
    assert lab.sink.batches == [[("a", 0), ("b", 0), ("a", 1)]]


async def test_a_full_batch_does_not_wait(lab):
    lab.put("a", *range(BATCH_EVENTS))
    await lab.clock.advance_ms(0)
    assert len(lab.written) == BATCH_EVENTS


async def test_the_end_of_a_call_does_not_wait_for_the_timer(lab):
    lab.put("a", 0, 1)
    done = asyncio.ensure_future(lab.writer.flush_call("a"))
    await lab.clock.advance_ms(0)
    assert done.done()
    assert await done
    assert lab.written == [("a", 0), ("a", 1)]


async def test_while_the_database_is_away_events_wait_and_are_retried_less_and_less_often(lab):
    lab.sink.away = True
    lab.put("a", 0)
    await lab.clock.advance_ms(60_000)
    assert 20 < lab.sink.attempts < 40
    lab.put("a", 1)
    lab.sink.away = False
    await lab.clock.advance_ms(6_000)
    assert lab.written == [("a", 0), ("a", 1)]


async def test_flushing_while_the_database_is_away_gives_up_at_its_deadline(lab):
    lab.sink.away = True
    lab.put("a", 0)
    done = asyncio.ensure_future(lab.writer.flush_call("a", deadline_s=1.0))
    await lab.clock.advance_ms(999)
    assert not done.done()
    await lab.clock.advance_ms(2)
    assert await done is False


async def test_a_full_queue_loses_the_new_events_and_keeps_the_order_of_the_old():
    lab = Lab(max_events=3)
    lab.sink.away = True
    assert lab.put("a", 0, 1, 2, 3, 4) == [True, True, True, False, False]
    lab.sink.away = False
    await lab.clock.advance_ms(10_000)
    assert lab.written == [("a", 0), ("a", 1), ("a", 2)]
    assert lab.put("a", 5) == [True]
    await lab.writer.close()


async def test_a_call_whose_events_are_refused_costs_no_other_call_its_events(lab):
    lab.sink.refused = "bad"
    lab.put("a", 0)
    lab.put("bad", 0)
    lab.put("b", 0)
    await lab.clock.advance_ms(300)
    assert lab.written == [("a", 0), ("b", 0)]
    lab.put("a", 1)
    await lab.clock.advance_ms(300)
    assert lab.written[-1] == ("a", 1)


async def test_closing_writes_what_waits(lab):
    lab.put("a", 0)
    lab.put("b", 0)
    closing = asyncio.ensure_future(lab.writer.close())
    await lab.clock.advance_ms(0)
    assert await closing
    assert lab.written == [("a", 0), ("b", 0)]


async def test_closing_while_the_database_is_away_ends_at_the_deadline_and_says_so(lab):
    lab.sink.away = True
    lab.put("a", 0)
    closing = asyncio.ensure_future(lab.writer.close(deadline_s=2.0))
    await lab.clock.advance_ms(2_001)
    assert await closing is False


async def test_wall_time_is_when_the_event_happened_not_when_it_was_queued():
    lab = Lab()
    rows = []

    async def keep(batch):
        rows.extend(batch)

    lab.sink.append_batch = keep
    before = lab.clock.wall()
    event = digit(at_ns=lab.clock.now_ns())
    await lab.clock.advance_ms(500)
    lab.writer.put("a", 0, event)
    await lab.clock.advance_ms(300)
    assert rows[0][1].wall == before
    await lab.writer.close()
