"""The embedded server through its bad days: killed in mid-write, stale files, a second owner, a long path."""

import asyncio
import functools
import os
import signal
import subprocess
import sys

import asyncpg
import pytest

from services.common.clock import SystemClock, sleep_s
from services.common.errors import UnavailableError
from services.common.settings import load_settings
from services.orchestrator.store import open_store
from services.orchestrator.store.embedded import EmbeddedPostgres
from services.orchestrator.store.launch import choose_launch, running_postmaster
from tests.store.examples import create, digit

CLOCK = SystemClock()


@pytest.fixture(scope="module")
def used(tmp_path_factory):
    """A data directory that earlier tests have used: initdb takes longer than most tests."""
    return tmp_path_factory.mktemp("used")


async def until(condition, deadline_s=20.0):
    deadline_ns = CLOCK.now_ns() + int(deadline_s * 1e9)
    while not condition():
        assert CLOCK.now_ns() < deadline_ns, "not in time"
        await sleep_s(CLOCK, 0.02)


async def test_a_server_killed_in_mid_write_loses_nothing_that_was_accepted(used):
    store = await open_store(load_settings(env={}, overrides={"data_dir": used}), CLOCK)
    await create(store.calls, "c1")
    count = 3_000
    for seq in range(count):
        assert store.writer.put("c1", seq, digit(at_ns=CLOCK.now_ns()))
        if seq == 1_500:
            await sleep_s(CLOCK, 0.01)
            pid = store.embedded.pid
            os.kill(pid, signal.SIGKILL)
    await until(lambda: store.embedded.pid not in (None, pid))
    assert await store.writer.flush_call("c1", deadline_s=20)
    assert [event.seq for event in await store.calls.load_events("c1")] == list(range(count))
    await create(store.calls, "c2")
    await store.close()
    assert running_postmaster(used / "postgres" / "data") is None


async def test_what_was_written_is_there_after_a_restart_and_a_stale_pid_file_is_no_obstacle(used):
    settings = load_settings(env={}, overrides={"data_dir": used})
    store = await open_store(settings, CLOCK)
    await create(store.calls, "kept")
    await store.close()
    # Of a machine that lost power: the pid now belongs to this very test.
    stale = used / "postgres" / "data" / "postmaster.pid"
    stale.write_text(f"{os.getpid()}\n{stale.parent}\n1\n5432\n\n\n\nready\n")
    store = await open_store(settings, CLOCK)
    assert await store.calls.get_call("kept")
    await store.close()


async def test_a_second_process_on_the_same_directory_is_told_what_to_do(server):
    with pytest.raises(UnavailableError, match="another data_dir"):
        await EmbeddedPostgres(server._root.parent, CLOCK).start()


async def test_a_server_that_outlived_its_owner_is_adopted_and_stopped(used):
    first = EmbeddedPostgres(used, CLOCK)
    await first.start()
    pid = first.pid
    # What a SIGKILL of the owner leaves where the kernel cannot tie the two: a server and no lock.
    first._keeper.cancel()
    first._lock.close()
    second = EmbeddedPostgres(used, CLOCK)
    await second.start()
    assert second.pid == pid
    await second.stop()
    assert second.pid is None


OWNER = """
import asyncio, sys
from pathlib import Path
from services.common.clock import SystemClock
from services.orchestrator.store.embedded import EmbeddedPostgres

async def main():
    await EmbeddedPostgres(Path(sys.argv[1]), SystemClock()).start()
    print("up", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def killed_owner(directory):
    """A process that had a server, just after its SIGKILL."""
    owner = await asyncio.create_subprocess_exec(sys.executable, "-c", OWNER, str(directory), stdout=subprocess.PIPE)
    assert await owner.stdout.readline() == b"up\n"
    assert running_postmaster(directory / "postgres" / "data")
    owner.kill()
    await owner.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
async def test_the_server_ends_when_its_owner_is_killed(used):
    await killed_owner(used)
    await until(lambda: running_postmaster(used / "postgres" / "data") is None)


async def test_an_owner_that_is_restarted_at_once_finds_a_server_whatever_the_old_one_is_doing(used):
    await killed_owner(used)
    successor = EmbeddedPostgres(used, CLOCK)
    connection = await asyncpg.connect(await successor.start())
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()
    await successor.stop()
    assert successor.pid is None


async def test_a_machine_that_killed_server_and_owner_at_once_is_recovered_from(used):
    first = EmbeddedPostgres(used, CLOCK)
    connection = await asyncpg.connect(await first.start())
    first._keeper.cancel()
    os.kill(first.pid, signal.SIGKILL)
    first._lock.close()
    second = EmbeddedPostgres(used, CLOCK)
    again = await asyncpg.connect(await second.start())
    assert await again.fetchval("SELECT 1") == 1
    await again.close()
    connection.terminate()
    await second.stop()


async def test_a_data_directory_too_long_for_a_socket_gets_a_short_one(tmp_path):
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    embedded = EmbeddedPostgres(deep, CLOCK)
    connection = await asyncpg.connect(await embedded.start())
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()
    await embedded.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root must become somebody else")
async def test_where_root_may_not_use_namespaces_the_server_runs_as_nobody_and_the_data_can_go_back(used):
    for namespaces, owner in ((False, "nobody"), (True, "root")):
        embedded = EmbeddedPostgres(used, CLOCK, functools.partial(choose_launch, namespaces=namespaces))
        connection = await asyncpg.connect(await embedded.start())
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()
        assert (used / "postgres" / "data").owner() == owner
        await embedded.stop()


async def test_data_of_another_major_version_is_refused_with_what_to_do(tmp_path):
    data = tmp_path / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("12\n")
    with pytest.raises(UnavailableError, match="PostgreSQL 12"):
        await EmbeddedPostgres(tmp_path, CLOCK).start()
    # And the lock was given back.
    with pytest.raises(UnavailableError, match="PostgreSQL 12"):
        await EmbeddedPostgres(tmp_path, CLOCK).start()


async def test_a_server_that_cannot_start_quotes_its_log(used):
    embedded = EmbeddedPostgres(used, CLOCK)
    await embedded.start()
    await embedded.stop()
    (used / "postgres" / "data" / "postgresql.auto.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(UnavailableError, match="no_such_setting"):
        await embedded.start()
    (used / "postgres" / "data" / "postgresql.auto.conf").write_text("")


async def test_a_dsn_without_a_server_behind_it_is_unavailable_and_does_not_show_the_password():
    settings = load_settings(env={}, overrides={"database": {"dsn": "postgresql://u:hunter2@127.0.0.1:1/db"}})
    with pytest.raises(UnavailableError) as refused:
        await open_store(settings, CLOCK)
    assert "hunter2" not in str(refused.value)


async def test_the_server_log_holds_no_row_of_a_refused_statement(server):
    connection = await asyncpg.connect(server.dsn)
    await connection.execute("CREATE TABLE unique_words (w text PRIMARY KEY)")
    insert = "INSERT INTO unique_words VALUES ($1)"
    await connection.execute(insert, "jane-roe-secret")
    with pytest.raises(asyncpg.UniqueViolationError) as refused:
        await connection.execute(insert, "jane-roe-secret")
    assert "jane" in str(refused.value.detail)
    await connection.close()
    assert "jane" not in server._log.read_text()
