"""Calls and events against a real PostgreSQL."""

from datetime import timedelta

import pytest

from services.common.errors import UnavailableError
from services.orchestrator.events import CallEnded
from services.orchestrator.store.calls import CallStore
from services.orchestrator.store.errors import StoreError
from services.orchestrator.store.records import stored_event
from tests.store.examples import CALLEE, CALLER, START, WORDS, create, final, row


async def everything(pool) -> str:
    """All rows of all our tables as text: what somebody with the disk would read."""
    rows = [*await pool.fetch("SELECT * FROM calls"), *await pool.fetch("SELECT * FROM events")]
    return "\n".join(str(dict(r)) for r in rows)


async def test_a_call_is_read_back_as_it_was_created_and_finished(calls):
    await create(calls)
    (listed,) = await calls.list_calls()
    assert (listed.call_id, listed.transport, listed.locale, listed.started_at) == ("c1", "sip", "en-US", START)
    assert listed.ended_at is None
    await calls.finish_call("c1", ended_at=START + timedelta(minutes=2), cause="remote", detail="BYE")
    await calls.finish_call("c1", ended_at=START + timedelta(minutes=9), cause="late", detail="")
    ended = await calls.get_call("c1")
    assert (ended.cause, ended.detail, ended.ended_at) == ("remote", "BYE", START + timedelta(minutes=2))
    assert await calls.get_call("nobody") is None


async def test_under_none_no_uri_and_no_word_reaches_the_disk(calls, pool):
    await create(calls)
    await calls.append_events("c1", [stored_event(final(), 0, START, calls.policy)])
    stored = await everything(pool)
    for secret in (CALLER, CALLEE, WORDS, "jane", "5550100", "card"):
        assert secret not in stored
    assert f"‹uri {len(CALLER)}›" in stored


async def test_under_all_uris_and_words_are_stored(pool):
    calls = CallStore(pool, "all")
    await create(calls)
    await calls.append_events("c1", [stored_event(final(), 0, START, calls.policy)])
    stored = await everything(pool)
    assert all(text in stored for text in (CALLER, CALLEE, WORDS))


async def test_events_come_back_in_order_with_their_payloads(calls):
    await create(calls)
    payload = {"text": "naïve “quotes” \N{PILE OF POO}", "list": [1, None, {"x": 1.5}]}
    await calls.append_events("c1", [row(2, payload), row(0), row(1)])
    loaded = await calls.load_events("c1")
    assert [event.seq for event in loaded] == [0, 1, 2]
    assert loaded[2] == row(2, payload)
    assert [event.seq for event in await calls.load_events("c1", after_seq=0, limit=1)] == [1]


async def test_appending_events_twice_changes_nothing(calls):
    await create(calls)
    await calls.append_events("c1", [row(0), row(1)])
    await calls.append_events("c1", [row(1, {"other": True}), row(2)])
    assert await calls.load_events("c1") == [row(0), row(1), row(2)]


async def test_a_batch_with_an_event_of_an_unknown_call_is_refused_whole(calls):
    await create(calls)
    with pytest.raises(StoreError) as refused:
        await calls.append_batch([("c1", row(0, {"secret": "jane"})), ("nobody", row(0, {"secret": "jane"}))])
    assert "jane" not in str(refused.value)
    assert await calls.load_events("c1") == []


async def test_a_stored_end_of_call_ends_the_call_s_row_in_the_same_statement(calls):
    await create(calls)
    end = CallEnded(at_ns=9, cause="remote", detail="BYE")
    await calls.append_events("c1", [row(0), stored_event(end, 1, START + timedelta(minutes=3), "none")])
    ended = await calls.get_call("c1")
    assert (ended.cause, ended.detail, ended.ended_at) == ("remote", "BYE", START + timedelta(minutes=3))
    await calls.finish_call("c1", ended_at=START + timedelta(minutes=9), cause="late")
    assert (await calls.get_call("c1")).cause == "remote"


async def test_calls_are_listed_newest_first_and_paged_by_start(calls):
    for minute in range(5):
        await create(calls, f"c{minute}", START + timedelta(minutes=minute))
    assert [c.call_id for c in await calls.list_calls(limit=2)] == ["c4", "c3"]
    older = await calls.list_calls(limit=2, before=START + timedelta(minutes=3))
    assert [c.call_id for c in older] == ["c2", "c1"]


async def test_a_closed_pool_is_unavailable_not_a_driver_error(calls, pool):
    pool.terminate()
    with pytest.raises(UnavailableError):
        await create(calls)
