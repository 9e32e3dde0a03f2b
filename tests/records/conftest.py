"""A real PostgreSQL with an empty audit log, its writer, its key and a witness in memory."""

import asyncpg
import pytest

from services.common.clock import SystemClock
from services.common.settings import load_settings
from services.orchestrator.store.audit import open_audit_pool
from services.orchestrator.store.migrations import migrate
from services.records.audit_log import AuditLog
from services.records.checkpointer import Checkpointer
from services.records.export import export_log
from services.records.notes import COSIGNATURE_V1, Signer
from services.records.personal_store import PersonalStore
from services.records.verify import verify
from services.records.witness_server import Witness, WitnessStore
from tests.records.lab import DirectWitness
from tests.store.conftest import empty, server  # noqa: F401

SETTINGS = load_settings(env={})


@pytest.fixture
async def dsn(empty):  # noqa: F811
    """A migrated database of its own."""
    connection = await asyncpg.connect(empty)
    await migrate(connection)
    await connection.close()
    return empty


@pytest.fixture
async def admin(dsn):
    """The insider: a superuser's connection."""
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def pool(dsn):
    """Connections of the writing role."""
    pool = await open_audit_pool(SETTINGS, dsn)
    yield pool
    pool.terminate()


@pytest.fixture
def personal():
    return PersonalStore("plain")


@pytest.fixture
async def log(pool, personal):
    log = AuditLog(pool, personal, SystemClock())
    log.start()
    yield log
    await log.close()


@pytest.fixture
def key():
    return Signer.generate("example.com/audit")


@pytest.fixture
def witness(key, tmp_path):
    """A witness with a memory on disk, asked without HTTP."""
    signer = Signer.generate("witness.example/1", COSIGNATURE_V1)
    return DirectWitness(Witness(signer, [key.verifier], WitnessStore(tmp_path), SystemClock()), signer.verifier)


@pytest.fixture
def checkpointer(pool, key, witness):
    return Checkpointer(pool, key, [witness], SystemClock())


@pytest.fixture
def audited(admin, key, witness, personal):
    """Export what is there and verify it with the public keys, as an auditor would."""

    async def run(*, kept=(), witnesses=None, log_key=None):
        lines = [line async for line in export_log(admin, personal)]
        keys = [witness.verifier] if witnesses is None else witnesses
        return verify(lines, log_key or key.verifier, keys, kept)

    return run
