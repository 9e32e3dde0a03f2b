"""Appending to a real PostgreSQL: order, durability, roles, pending rows, crashes."""

import asyncio
import json

import asyncpg
import pytest

from services.common.clock import SystemClock
from services.common.errors import OverloadedError, UnavailableError
from services.records import audit_log
from services.records.audit_log import AuditLog, write_entries
from services.records.checkpointer import Checkpointer, InconsistentLogError
from services.records.entry import prepare
from services.records.personal_store import PersonalStore
from tests.records.lab import call_entry, entry


async def indexes(admin):
    return [row["index"] for row in await admin.fetch("SELECT index FROM audit_entries ORDER BY index")]


async def numbers(admin):
    rows = await admin.fetch("SELECT entry FROM audit_entries ORDER BY index")
    return [json.loads(row["entry"])["detail"].get("n") for row in rows]


async def test_an_entry_is_in_the_chain_when_append_returns(log, admin, checkpointer, audited):
    assert [await log.append(entry(n)) for n in range(3)] == [0, 1, 2]
    assert await numbers(admin) == [0, 1, 2]
    await checkpointer.make()
    report = await audited()
    assert report.ok, report.findings
    assert (report.entries, report.signed_size, report.witnessed["witness.example/1"][0]) == (3, 3, 3)
    assert report.notes == []


async def test_many_writers_at_once_make_one_chain_and_each_keeps_its_order(
    dsn, admin, personal, checkpointer, audited
):
    pools = [await asyncpg.create_pool(dsn, min_size=1, max_size=2) for _ in range(4)]
    logs = [AuditLog(pool, personal, SystemClock()) for pool in pools]
    for log in logs:
        log.start()

    async def write(log, which):
        return [await log.append(entry(which * 1000 + n)) for n in range(25)]

    placed = await asyncio.gather(*(write(log, which) for which, log in enumerate(logs) for _ in range(1)))
    assert sorted(index for of_one in placed for index in of_one) == list(range(100))
    assert all(of_one == sorted(of_one) for of_one in placed)
    written = await numbers(admin)
    assert all(
        [n for n in written if n // 1000 == which] == [which * 1000 + n for n in range(25)] for which in range(4)
    )
    await checkpointer.make()
    assert (await audited()).ok
    for log, pool in zip(logs, pools, strict=True):
        await log.close()
        pool.terminate()


async def test_a_batch_stays_together(log, admin):
    first, second = await asyncio.gather(
        log.append_batch([entry(n) for n in range(5)]), log.append_batch([entry(n) for n in range(10, 15)])
    )
    assert first == list(range(5))
    assert second == list(range(5, 10))


@pytest.mark.parametrize("statement", [
    "UPDATE audit_entries SET entry = 'x'", "DELETE FROM audit_entries", "TRUNCATE audit_entries",
    "UPDATE audit_checkpoints SET note = 'x'", "DELETE FROM audit_checkpoints", "TRUNCATE audit_checkpoints",
    "UPDATE audit_personal SET field = 'x'", "DELETE FROM audit_personal", "TRUNCATE audit_personal",
    "ALTER TABLE audit_entries DISABLE TRIGGER append_only", "DROP TABLE audit_entries",
    "UPDATE audit_pending SET body = '{}'", "SELECT * FROM calls",
])  # fmt: skip
async def test_the_writing_role_can_insert_and_nothing_else(log, pool, statement):
    await log.append(call_entry(0))
    async with pool.acquire() as connection:
        assert await connection.fetchval("SELECT current_user") == audit_log.WRITER_ROLE
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)


@pytest.mark.parametrize("statement", [
    "UPDATE audit_entries SET entry = 'x'", "DELETE FROM audit_checkpoints", "TRUNCATE audit_entries",
    "UPDATE audit_personal SET field = 'x'",
])  # fmt: skip
async def test_even_the_owner_is_stopped_by_triggers_with_a_sentence(admin, statement):
    with pytest.raises(asyncpg.PostgresError, match="append-only"):
        await admin.execute(statement)


async def test_what_committed_with_a_callers_transaction_gets_its_place_and_what_rolled_back_does_not(log, admin):
    body, openings = log.pending_row(call_entry(1))
    insert = "INSERT INTO audit_pending (body, openings) VALUES ($1::jsonb, $2::jsonb)"
    await admin.execute(insert, body, openings)
    transaction = admin.transaction()
    await transaction.start()
    await admin.execute(insert, *log.pending_row(entry(2)))
    await transaction.rollback()
    log.nudge()
    assert await log.append(entry(3)) == 1
    assert await numbers(admin) == [1, 3]
    assert await admin.fetchval("SELECT count(*) FROM audit_pending") == 0
    assert await admin.fetchval("SELECT value FROM audit_personal WHERE index = 0") == b"sip:jane@example.com"


async def test_a_pending_row_that_is_no_entry_does_not_stop_the_log_and_is_on_record(log, admin, checkpointer, audited):
    for body in ('{"v": 1}', "[]", '{"p": 0.5}'):
        await admin.execute("INSERT INTO audit_pending (body) VALUES ($1::jsonb)", body)
    assert await log.append(entry(9)) == 3
    rows = await admin.fetch("SELECT entry FROM audit_entries ORDER BY index LIMIT 3")
    assert {json.loads(row["entry"])["action"] for row in rows} == {"audit.unreadable"}
    await checkpointer.make()
    assert (await audited()).ok


async def test_a_crash_between_append_and_checkpoint_loses_nothing(pool, personal, key, witness, admin, audited):
    log = AuditLog(pool, personal, SystemClock())
    log.start()
    await log.append(entry(0))
    await Checkpointer(pool, key, [witness], SystemClock()).make()
    await log.append(entry(1))
    await admin.execute("INSERT INTO audit_pending (body) VALUES ($1::jsonb)", log.pending_row(entry(2))[0])
    # The process is gone without a word: no close, no checkpoint.
    log._task.cancel()
    report = await audited()
    assert report.ok
    assert "under no checkpoint yet" in report.notes[0]
    successor = AuditLog(pool, personal, SystemClock())
    successor.start()
    assert await successor.append(entry(3)) == 3
    await Checkpointer(pool, key, [witness], SystemClock()).make()
    assert await numbers(admin) == [0, 1, 2, 3]
    report = await audited()
    assert report.ok
    assert (report.signed_size, report.notes) == (4, [])
    await successor.close()


async def test_a_transaction_that_dies_half_way_leaves_no_gap(pool, personal, log, admin):
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await write_entries(connection, [prepare(entry(0))], personal)
        await transaction.rollback()
    assert await log.append(entry(1)) == 0
    assert await indexes(admin) == [0]


async def test_closing_writes_what_waits_and_then_refuses(pool, personal, admin):
    log = AuditLog(pool, personal, SystemClock())
    log.start()
    appended = asyncio.ensure_future(log.append(entry(0)))
    await asyncio.sleep(0)
    assert await log.close()
    assert await appended == 0
    with pytest.raises(UnavailableError):
        await log.append(entry(1))


async def test_more_waiting_than_the_bound_is_refused_at_once(pool, personal):
    log = AuditLog(pool, personal, SystemClock())
    with pytest.raises(OverloadedError):
        await log.append_batch([entry(n) for n in range(audit_log.MAX_WAITING + 1)])


async def test_while_the_database_is_away_appends_wait_and_are_written_when_it_is_back(log, admin, pool):
    await log.append(entry(0))
    blocker = admin.transaction()
    await blocker.start()
    await admin.execute("SELECT pg_advisory_xact_lock($1)", audit_log.APPEND_LOCK)
    waiting = asyncio.ensure_future(log.append(entry(1)))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    # The connection dies under it.
    await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'advisory'")
    await blocker.rollback()
    assert await waiting == 1


@pytest.mark.parametrize("policy", ["none", "plain", "sealed"])
async def test_what_is_kept_of_personal_data_is_the_policys_choice(pool, admin, policy):
    store = PersonalStore(policy, bytes(32) if policy == "sealed" else None)
    log = AuditLog(pool, store, SystemClock())
    log.start()
    await log.append(call_entry(0))
    await log.close()
    rows = await admin.fetch("SELECT value, sealed FROM audit_personal")
    dump = repr(rows) + repr(await admin.fetch("SELECT * FROM audit_entries"))
    assert len(rows) == (0 if policy == "none" else 1)
    assert ("jane" in dump) == (policy == "plain")


async def test_no_checkpoint_is_signed_over_entries_that_changed_since_the_last_one(
    log, pool, key, checkpointer, admin
):
    for n in range(3):
        await log.append(entry(n))
    await checkpointer.make()
    await admin.execute("ALTER TABLE audit_entries DISABLE TRIGGER append_only")
    await admin.execute("UPDATE audit_entries SET leaf_hash = sha256('x') WHERE index = 1")
    fresh = Checkpointer(pool, key, [], SystemClock())
    for _ in range(2):
        with pytest.raises(InconsistentLogError, match="first 3 entries"):
            await fresh.make()
    await admin.execute("DELETE FROM audit_entries WHERE index = 2")
    with pytest.raises(InconsistentLogError, match="the end is missing"):
        await Checkpointer(pool, key, [], SystemClock()).make()


async def test_nothing_new_makes_no_new_checkpoint(log, checkpointer, admin):
    assert await checkpointer.make() is None
    await log.append(entry(0))
    first = await checkpointer.make()
    assert await checkpointer.make() == first
    assert await admin.fetchval("SELECT count(*) FROM audit_checkpoints") == 1
