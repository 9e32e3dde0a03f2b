"""One real embedded PostgreSQL for the session."""

import asyncio
import itertools

import asyncpg
import pytest
import pytest_asyncio

from services.common.clock import SystemClock
from services.common.settings import load_settings
from services.orchestrator.store.calls import CallStore
from services.orchestrator.store.database import open_pool
from services.orchestrator.store.embedded import USER, EmbeddedPostgres
from services.orchestrator.store.migrations import migrate

_NUMBER = itertools.count()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server(tmp_path_factory):
    embedded = EmbeddedPostgres(tmp_path_factory.mktemp("pg"), SystemClock())
    await embedded.start()
    yield embedded
    await embedded.stop()


@pytest.fixture
async def empty(server):
    """DSN of a database without a schema."""
    name = f"test_{next(_NUMBER)}"
    admin = await asyncpg.connect(server.dsn)
    await admin.execute(f"CREATE DATABASE {name}")
    await admin.close()
    return f"postgresql://{USER}@/{name}?host={server.socket_dir}"


@pytest.fixture
async def pool(server):
    """A migrated database without rows."""
    connection = await asyncpg.connect(server.dsn)
    await migrate(connection)
    await connection.execute("TRUNCATE calls CASCADE")
    await connection.close()
    pool = await open_pool(server.dsn, load_settings(env={}))
    yield pool
    pool.terminate()
    await asyncio.sleep(0)


@pytest.fixture
def calls(pool):
    """The store under the policy that keeps nothing personal."""
    return CallStore(pool, "none")
