"""A connection for a command: to the server that runs, or to an embedded one started for the occasion."""

import contextlib
from collections.abc import AsyncIterator

import asyncpg

from services.common.clock import Clock
from services.common.errors import UnavailableError
from services.common.postgres import typed_errors
from services.common.settings import Settings
from services.orchestrator.store.embedded import EmbeddedPostgres
from services.orchestrator.store.migrations import migrate

CONNECT_S = 5.0


@contextlib.asynccontextmanager
async def visit_database(
    settings: Settings, clock: Clock, *, create: bool = False
) -> AsyncIterator[tuple[str, asyncpg.Connection]]:
    """(DSN, connection) to a migrated database; an embedded server that is down is up for as long as this lasts.

    `create`: make an embedded database where there is none yet. Raises UnavailableError, StoreError.
    """
    dsn, embedded = settings.database.dsn, None
    if not dsn:
        embedded = EmbeddedPostgres(settings.data_dir, clock)
        dsn = embedded.dsn
        if embedded.pid is not None:
            embedded = None
        elif not embedded.exists and not create:
            raise UnavailableError(
                f"There is no database under {settings.data_dir.expanduser()}.",
                remedy="Run `trunkline up` once, or name the database: --set database.dsn=… or --set data_dir=…",
            )
        else:
            await embedded.start()
    try:
        with typed_errors("connecting"):
            connection = await asyncpg.connect(dsn, timeout=CONNECT_S)
        try:
            await migrate(connection)
            yield dsn, connection
        finally:
            connection.terminate()
    finally:
        if embedded is not None:
            await embedded.stop()
