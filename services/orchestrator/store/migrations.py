"""Numbered SQL files, applied once each, in order, under an advisory lock; what was applied must not change."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from services.common.log import get_logger
from services.orchestrator.store.errors import StoreError, typed_errors

log = get_logger(__name__)

DIRECTORY = Path(__file__).parent / "migrations"
# Any constant that nobody else uses: "Trunklin" in ASCII.
LOCK_KEY = int.from_bytes(b"Trunklin", "big")
LOCK_WAIT_S = 60
_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")

_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    sha256     text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


@dataclass(frozen=True)
class Migration:
    """One file."""

    version: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """Hash of the text, kept with the version."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def read_migrations(directory: Path = DIRECTORY) -> list[Migration]:
    """All files in order. Raises StoreError for a name out of pattern, a number twice or one left out."""
    found: list[Migration] = []
    for path in sorted(directory.glob("*.sql")):
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise StoreError(f"{path.name}: expected a name like 0001_what_it_does.sql.")
        found.append(Migration(int(match[1]), path.stem, path.read_text(encoding="utf-8")))
    if [m.version for m in found] != list(range(1, len(found) + 1)):
        raise StoreError(f"Migrations must be numbered 1 to {len(found)} without gaps or repeats.")
    return found


def plan(known: Sequence[Migration], applied: Mapping[int, str]) -> list[Migration]:
    """What is still to apply, given version → sha256 of what was. Raises StoreError when an applied file changed.

    Versions this code does not know are left alone: during an upgrade an older worker meets a newer schema.
    """
    for migration in known:
        if applied.get(migration.version, migration.sha256) != migration.sha256:
            raise StoreError(
                f"Migration {migration.name} was changed after it was applied.",
                remedy="Restore the file and put the change into a new migration.",
            )
    return [migration for migration in known if migration.version not in applied]


async def migrate(connection: asyncpg.Connection, known: Sequence[Migration] | None = None) -> list[str]:
    """Bring the schema up to date and name what was applied. Several processes may do so at once.

    Raises StoreError (a migration failed or was changed), UnavailableError (no answer, or the lock is held too long).
    """
    known = read_migrations() if known is None else known
    with typed_errors("migrating the schema"):
        await connection.execute(f"SET lock_timeout = '{LOCK_WAIT_S}s'")
        await connection.execute("SET statement_timeout = 0")
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK_KEY)
        try:
            await connection.execute(_TABLE)
            rows = await connection.fetch("SELECT version, sha256 FROM schema_migrations")
            todo = plan(known, {row["version"]: row["sha256"] for row in rows})
            for migration in todo:
                await _apply(connection, migration)
        finally:
            await connection.execute("SELECT pg_advisory_unlock($1)", LOCK_KEY)
    newer = sorted({row["version"] for row in rows} - {m.version for m in known})
    if newer:
        log.warning("database schema is newer than this program", versions=newer)
    return [migration.name for migration in todo]


async def _apply(connection: asyncpg.Connection, migration: Migration) -> None:
    async with connection.transaction():
        await connection.execute(migration.sql)
        await connection.execute(
            "INSERT INTO schema_migrations (version, name, sha256) VALUES ($1, $2, $3)",
            migration.version,
            migration.name,
            migration.sha256,
        )
    log.info("migration applied", migration=migration.name)
