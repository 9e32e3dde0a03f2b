"""Calls and operators in the audit log: with the row they tell of, or not at all."""

import asyncio
import json

import pytest

from services.common.clock import SystemClock
from services.common.errors import UnavailableError
from services.common.personal import Personal
from services.common.settings import load_settings
from services.orchestrator.audit_door import AuditDoor
from services.orchestrator.calls import CallHandle
from services.orchestrator.events import CallEnded
from services.orchestrator.media.leg import LegInfo
from services.orchestrator.store import open_store
from services.orchestrator.stored_calls import StoredCalls
from services.records.export import export_log
from services.records.keys import load_verifier
from services.records.verify import verify

CLOCK = SystemClock()


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("audited")
    return load_settings(env={}, overrides={"data_dir": data_dir, "records": {"audit": {"personal": "plain"}}})


@pytest.fixture
async def store(settings):
    store = await open_store(settings, CLOCK)
    yield store
    await store.close()


def handle(call_id):
    info = LegInfo(
        call_id, "sip", Personal("sip:jane@example.com", "uri"), Personal("sip:+1555@example.net", "uri"), "ref"
    )
    return CallHandle(call_id, info, CLOCK.wall(), CLOCK.now_ns())


async def entries(store, call_id):
    async with store._pool.acquire() as connection:
        rows = await connection.fetch("SELECT entry FROM audit_entries ORDER BY index")
    return [body for row in rows if (body := json.loads(row["entry"]))["call"] == call_id]


async def until(condition):
    async with asyncio.timeout(10):
        while not await condition():  # noqa: ASYNC110 the database offers no event to wait on
            await asyncio.sleep(0.02)


async def test_a_call_is_in_the_log_from_its_start_to_its_end_and_verifies_with_the_public_key(store, settings):
    calls = StoredCalls(store, CLOCK)
    live = handle("one")
    await calls.begin(live)
    live.events.append(CallEnded(at_ns=CLOCK.now_ns(), cause="remote_hangup", detail="BYE"))
    await calls.drain()
    await until(lambda: _count(store, "one", 2))
    started, ended = await entries(store, "one")
    assert (started["action"], started["actor"], started["detail"]["transport"]) == ("call.started", "system", "sip")
    assert set(started["personal"]) == {"caller", "callee"}
    assert "jane" not in json.dumps(started)
    assert (ended["action"], ended["detail"]) == ("call.ended", {"cause": "remote_hangup", "detail": "BYE"})
    await store.audit.checkpointer.make()
    async with store._pool.acquire() as connection:
        lines = [line async for line in export_log(connection)]
    report = verify(lines, load_verifier(str(settings.data_dir / "audit" / "log.pub")))
    assert report.ok, report.findings
    assert report.signed_size == report.entries


async def _count(store, call_id, count):
    return len(await entries(store, call_id)) == count


async def test_an_end_told_twice_is_one_entry(store):
    await StoredCalls(store, CLOCK).begin(handle("two"))
    for cause in ("remote_hangup", "failed"):
        await store.calls.finish_call("two", ended_at=CLOCK.wall(), cause=cause)
    store.audit.log.nudge()
    await until(lambda: _count(store, "two", 2))
    assert (await entries(store, "two"))[1]["detail"]["cause"] == "remote_hangup"


async def test_a_call_begun_just_before_a_crash_is_in_the_log_of_the_next_process(settings):
    first = await open_store(settings, CLOCK)
    # Killed with its writer still asleep: only what PostgreSQL has is left.
    first.audit.log._task.cancel()
    await asyncio.gather(first.audit.log._task, return_exceptions=True)
    await StoredCalls(first, CLOCK).begin(handle("three"))
    assert await entries(first, "three") == []
    first.audit._signing.cancel()
    first.audit._pool.terminate()
    await first.writer.close()
    first._pool.terminate()
    await first.embedded.stop()
    second = await open_store(settings, CLOCK)
    await until(lambda: _count(second, "three", 1))
    await second.close()


async def test_answering_waits_for_no_place_in_the_chain(store):
    """The start of a call commits while the chain is held by somebody else."""
    from services.records.audit_log import APPEND_LOCK

    async with store._pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", APPEND_LOCK)
        async with asyncio.timeout(1.0):
            await StoredCalls(store, CLOCK).begin(handle("four"))
        assert await store.calls.get_call("four")
    await until(lambda: _count(store, "four", 1))


async def test_the_door_refuses_until_the_log_is_open(store):
    from tests.records.lab import entry

    door = AuditDoor()
    with pytest.raises(UnavailableError, match="not open"):
        await door.append(entry(0))
    door.open(store.audit.log)
    assert await door.append(entry(0)) >= 0
