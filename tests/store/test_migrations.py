"""Migrations: each once, in order, by one process at a time, and never changed afterwards."""

import asyncio

import asyncpg
import pytest

from services.common.errors import TrunklineError
from services.orchestrator.store.errors import StoreError
from services.orchestrator.store.migrations import Migration, migrate, plan, read_migrations

ONE = Migration(1, "0001_one", "CREATE TABLE one (n int)")
TWO = Migration(2, "0002_two", "CREATE TABLE two (n int)")
BROKEN = Migration(2, "0002_broken", "CREATE TABLE two (n int); SELECT nonsense")


def test_the_files_are_numbered_without_gaps():
    versions = [m.version for m in read_migrations()]
    assert versions == list(range(1, len(versions) + 1))


@pytest.mark.parametrize("names", [["0001_a.sql", "0003_b.sql"], ["0001_a.sql", "0001_b.sql"], ["1_a.sql"]])
def test_files_that_leave_the_order_in_doubt_are_refused(tmp_path, names):
    for name in names:
        (tmp_path / name).write_text("SELECT 1")
    with pytest.raises(StoreError):
        read_migrations(tmp_path)


def test_a_changed_file_is_refused_by_name_and_a_newer_schema_is_left_alone():
    with pytest.raises(StoreError, match="0001_one was changed"):
        plan([ONE], {1: "another hash"})
    assert plan([ONE], {1: ONE.sha256, 2: "unknown to us"}) == []
    assert plan([ONE, TWO], {1: ONE.sha256}) == [TWO]


async def test_migrating_again_applies_nothing(empty):
    connection = await asyncpg.connect(empty)
    assert await migrate(connection) == [m.name for m in read_migrations()]
    assert await migrate(connection) == []
    await connection.close()


async def test_two_migrators_at_once_apply_each_migration_once(empty):
    connections = [await asyncpg.connect(empty) for _ in range(3)]
    applied = await asyncio.gather(*(migrate(c, [ONE, TWO]) for c in connections))
    assert sorted(applied) == [[], [], ["0001_one", "0002_two"]]
    assert await connections[0].fetchval("SELECT count(*) FROM schema_migrations") == 2
    for connection in connections:
        await connection.close()


async def test_a_migration_that_fails_leaves_nothing_of_itself_and_gives_the_lock_back(empty):
    connection, other = [await asyncpg.connect(empty) for _ in range(2)]
    with pytest.raises(TrunklineError):
        await migrate(connection, [ONE, BROKEN])
    assert await migrate(other, [ONE, TWO]) == ["0002_two"]
    await connection.close()
    await other.close()
