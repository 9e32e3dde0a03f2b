"""Opening and closing the database: the configured server or the embedded one, the pool, the schema, the writer."""

import json
from typing import Any

import asyncpg

from services.common.clock import Clock, sleep_s
from services.common.errors import UnavailableError
from services.common.settings import Settings
from services.orchestrator.store.audit import AuditRoom, open_audit
from services.orchestrator.store.bundles import BundleStore
from services.orchestrator.store.calls import CallStore
from services.orchestrator.store.embedded import EmbeddedPostgres
from services.orchestrator.store.errors import StoreError, typed_errors
from services.orchestrator.store.migrations import migrate
from services.orchestrator.store.writer import EventWriter

CONNECT_S = 5.0
# First use: the data directory is made.
SHARED_DEADLINE_S = 60.0
SHARED_POLL_S = 0.2


class Store:
    """Everything of the database that a process holds."""

    def __init__(
        self,
        calls: CallStore,
        writer: EventWriter,
        audit: AuditRoom,
        pool: asyncpg.Pool,
        embedded: EmbeddedPostgres | None,
    ) -> None:
        self.calls = calls
        self.writer = writer
        self.audit = audit
        self.bundles = BundleStore(pool)
        self.embedded = embedded
        self._pool = pool

    @property
    def pool(self) -> asyncpg.Pool:
        """For stores of other rooms."""
        return self._pool

    async def close(self, drain_s: float = 5.0) -> None:
        """Write what waits, close the pool, stop the embedded server."""
        await self.writer.close(drain_s)
        await self.audit.close(drain_s)
        self._pool.terminate()
        if self.embedded is not None:
            await self.embedded.stop()


async def open_store(settings: Settings, clock: Clock) -> Store:
    """Connect (starting the embedded server when database.dsn is empty), migrate, start the writer.

    Of several workers none starts the embedded server: a process of its own has it, and is waited for.
    Raises UnavailableError (no server), StoreError (migration refused).
    """
    embedded: EmbeddedPostgres | None = None
    dsn = settings.database.dsn
    if not dsn and settings.orchestrator.worker:
        dsn = EmbeddedPostgres(settings.data_dir, clock).dsn
        await _until_up(dsn, clock)
    elif not dsn:
        embedded = EmbeddedPostgres(settings.data_dir, clock)
        dsn = await embedded.start()
    try:
        pool = await _connect(dsn, settings, embedded)
        audit = await open_audit(settings, dsn, clock)
    except BaseException:
        if embedded is not None:
            await embedded.stop()
        raise
    calls = CallStore(pool, settings.records.transcripts)
    writer = EventWriter(calls, clock, settings.records.transcripts)
    writer.start()
    return Store(calls, writer, audit, pool, embedded)


async def _until_up(dsn: str, clock: Clock) -> None:
    """Wait for the embedded server that another process starts. Raises UnavailableError."""
    deadline_ns = clock.now_ns() + int(SHARED_DEADLINE_S * 1e9)
    while True:
        try:
            with typed_errors("connecting"):
                connection = await asyncpg.connect(dsn, timeout=CONNECT_S)
        except (UnavailableError, StoreError):
            # StoreError: the server is there, our database in it not yet.
            if clock.now_ns() > deadline_ns:
                raise
            await sleep_s(clock, SHARED_POLL_S)
        else:
            connection.terminate()
            return


async def _connect(dsn: str, settings: Settings, embedded: EmbeddedPostgres | None) -> asyncpg.Pool:
    """Migrate and open the pool; an embedded server that goes away meanwhile is waited for once."""
    try:
        return await migrated_pool(dsn, settings)
    except UnavailableError:
        if embedded is None:
            raise
    await embedded.ready()
    return await migrated_pool(dsn, settings)


async def migrated_pool(dsn: str, settings: Settings) -> asyncpg.Pool:
    """A pool on a schema that is up to date. Raises UnavailableError, StoreError."""
    await _migrate(dsn)
    return await open_pool(dsn, settings)


async def _migrate(dsn: str) -> None:
    """On a connection of its own: a migration may take longer than any statement of a call."""
    with typed_errors("connecting"):
        connection = await asyncpg.connect(dsn, timeout=CONNECT_S)
    try:
        await migrate(connection)
    finally:
        connection.terminate()


async def open_pool(dsn: str, settings: Settings) -> asyncpg.Pool:
    """A pool whose every statement has a deadline, on both sides of the wire. Raises UnavailableError, StoreError."""
    timeout_ms = settings.database.statement_timeout_ms
    with typed_errors("connecting"):
        return await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=settings.database.pool_size,
            timeout=CONNECT_S,
            command_timeout=timeout_ms / 1000 + 1,
            server_settings={"statement_timeout": str(timeout_ms), "application_name": "trunkline"},
            init=_json_as_dicts,
        )


async def _json_as_dicts(connection: Any) -> None:
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=str, decoder=json.loads)
