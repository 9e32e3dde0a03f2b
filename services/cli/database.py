"""The database for a command of its own: the one of the settings, or the embedded one, running or started meanwhile."""

import contextlib
from collections.abc import AsyncIterator

import asyncpg

from services.common.clock import Clock
from services.common.log import configure_logging
from services.common.settings import LogSettings, Settings
from services.orchestrator.store.database import migrated_pool
from services.orchestrator.store.embedded import EmbeddedPostgres


@contextlib.asynccontextmanager
async def command_pool(settings: Settings, clock: Clock) -> AsyncIterator[asyncpg.Pool]:
    """A migrated pool. Raises UnavailableError when no server can be reached or started."""
    # A command prints its result; what the store logs goes to standard error, and only when it matters.
    configure_logging(LogSettings(level="warning"), "trunkline")
    if settings.database.dsn:
        async with _closing(await migrated_pool(settings.database.dsn, settings)) as pool:
            yield pool
        return
    embedded = EmbeddedPostgres(settings.data_dir, clock)
    if embedded.pid is not None:
        # It belongs to the stack that runs: use it, leave it.
        async with _closing(await migrated_pool(embedded.dsn, settings)) as pool:
            yield pool
        return
    dsn = await embedded.start()
    try:
        async with _closing(await migrated_pool(dsn, settings)) as pool:
            yield pool
    finally:
        await embedded.stop()


@contextlib.asynccontextmanager
async def _closing(pool: asyncpg.Pool) -> AsyncIterator[asyncpg.Pool]:
    try:
        yield pool
    finally:
        pool.terminate()
