"""One bank and one database for all tests of control; each test finds them as on the first day."""

from pathlib import Path

import asyncpg
import pytest_asyncio

from services.cli.caller_role import free_ports
from services.orchestrator.store.embedded import USER
from services.orchestrator.store.migrations import migrate
from tests.bundles.bank import SERVE, running_bank
from tests.store.conftest import server  # noqa: F401  # fixture

SEED = Path(SERVE).with_name("seed.sql")
OURS = "effects, reviews, callbacks, control_calls, audit_pending"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def bank_home(server):  # noqa: F811
    """(DSN of our database, the bank that has a schema of its own in it)."""
    admin = await asyncpg.connect(server.dsn)
    await admin.execute("CREATE DATABASE control_tests")
    await admin.close()
    dsn = f"postgresql://{USER}@/control_tests?host={server.socket_dir}"
    connection = await asyncpg.connect(dsn)
    await migrate(connection)
    await connection.close()
    async with running_bank(dsn, free_ports(1)[0]) as bank:
        yield dsn, bank


async def as_on_the_first_day(dsn, bank):
    await bank.heal()
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f"TRUNCATE {OURS}, bank.postings, bank.acts, bank.customers CASCADE")
        await connection.execute(SEED.read_text(encoding="utf-8"))
    finally:
        await connection.close()
