"""The audit log as a process holds it: a pool under the role that may only insert, the writer, the checkpoints."""

import asyncio

import asyncpg

from services.common.clock import Clock
from services.common.deadline import deadline
from services.common.errors import SettingsError, TrunklineError
from services.common.log import get_logger
from services.common.postgres import typed_errors
from services.common.settings import Settings
from services.records.audit_log import WRITER_ROLE, AuditLog
from services.records.checkpointer import Checkpointer
from services.records.keys import load_log_key, load_personal_store, load_witnesses

log = get_logger(__name__)

CONNECT_S = 5.0
LAST_CHECKPOINT_S = 8.0


class AuditRoom:
    """`log` is what others use; `checkpointer` is None where this process has no key."""

    def __init__(
        self, log_: AuditLog, checkpointer: Checkpointer | None, pool: asyncpg.Pool, every_s: float, clock: Clock
    ) -> None:
        self.log = log_
        self.checkpointer = checkpointer
        self._pool = pool
        self._clock = clock
        log_.start()
        self._signing = (
            asyncio.create_task(checkpointer.run(every_s), name="audit checkpoints") if checkpointer else None
        )

    async def close(self, drain_s: float) -> None:
        """Write what waits, sign it, close the pool."""
        await self.log.close(drain_s)
        if self._signing is not None and self.checkpointer is not None:
            self._signing.cancel()
            await asyncio.gather(self._signing, return_exceptions=True)
            try:
                async with deadline(self._clock, LAST_CHECKPOINT_S):
                    await self.checkpointer.make()
            except (TrunklineError, TimeoutError) as error:
                log.warning("no audit checkpoint at the end", error=type(error).__name__)
        self._pool.terminate()


async def open_audit(settings: Settings, dsn: str, clock: Clock) -> AuditRoom:
    """Open the pool, start writing and signing. `dsn` is the database's own, used unless the audit has credentials.

    Where the database is embedded, this machine is the only writer and makes its key by itself; elsewhere one process
    that has the key signs for all. Raises UnavailableError, StoreError, SettingsError.
    """
    audit = settings.records.audit
    personal = load_personal_store(settings)
    try:
        signer = load_log_key(settings, create=not settings.database.dsn)
    except SettingsError as error:
        log.warning("audit entries are chained but not signed by this process", reason=error.message)
        signer = None
    pool = await open_audit_pool(settings, dsn)
    checkpointer = Checkpointer(pool, signer, load_witnesses(settings), clock) if signer else None
    return AuditRoom(AuditLog(pool, personal, clock), checkpointer, pool, audit.checkpoint_s, clock)


async def open_audit_pool(settings: Settings, dsn: str) -> asyncpg.Pool:
    """Connections that may only insert. Raises UnavailableError, StoreError."""
    own = settings.records.audit.dsn
    timeout_ms = settings.database.statement_timeout_ms
    server = {"statement_timeout": str(timeout_ms), "application_name": "trunkline audit"}
    if not own:
        server["role"] = WRITER_ROLE
    with typed_errors("connecting for the audit log"):
        return await asyncpg.create_pool(
            own or dsn,
            min_size=1,
            max_size=2,
            timeout=CONNECT_S,
            command_timeout=timeout_ms / 1000 + 1,
            server_settings=server,
        )
