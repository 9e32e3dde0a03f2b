"""Published bundles and their labels in PostgreSQL: publish, release, canary, rollback; each is kept and audited.

A call asks once, when it begins (`pick`), and pins the digest. A rollback therefore acts on new calls at once and on
no call in progress.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import asyncpg

from services.common.errors import InvalidInputError
from services.common.postgres import StoreError, typed_errors
from services.orchestrator.bundles.bundle import Bundle, digest_of
from services.orchestrator.bundles.checks import validate
from services.orchestrator.bundles.choice import Release, choose
from services.orchestrator.bundles.signing import SignatureError, Signer, verify
from services.orchestrator.store.records import to_jsonb
from services.records.entry import AuditEntry, prepare


@dataclass(frozen=True, slots=True)
class Published:
    """One version of an agent as it lies in the database."""

    digest: str
    agent: str
    version: str
    published_at: datetime
    published_by: str


@dataclass(frozen=True, slots=True)
class Move:
    """One change of a label."""

    move: int
    agent: str
    label: str
    action: str
    digest: str
    canary: str | None
    canary_percent: int
    at: datetime
    by: str
    reason: str


class BundleStore:
    """Raises UnavailableError (the database is away), StoreError (it refuses), InvalidInputError (no such thing)."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def publish(self, bundle: Bundle, signer: Signer, by: str, evals: str = "") -> Published:
        """Keep a bundle for ever. `evals`: how its evals went, for the record.

        The same content again changes nothing; other content under the same version is refused (InvalidInputError).
        """
        agent, version, digest = bundle.agent.id, bundle.agent.version, bundle.digest
        with typed_errors("publishing a bundle"):
            async with self._pool.acquire() as connection, connection.transaction():
                new = await connection.fetchval(
                    "INSERT INTO bundles (digest, agent, version, files, public_key, signature, published_by) "
                    "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING digest",
                    digest,
                    agent,
                    version,
                    to_jsonb(dict(bundle.files)),
                    signer.public,
                    signer.sign(agent, version, digest),
                    by,
                )
                if new is not None:
                    detail = {"agent": agent, "version": version, "key": signer.public.hex(), "evals": evals}
                    await _audit(connection, "bundle.publish", by, digest, detail)
            rows = await self._pool.fetch(_SELECT + "WHERE agent = $1 AND version = $2", agent, version)
        kept = Published(**rows[0])
        if kept.digest != digest:
            raise InvalidInputError(
                "version",
                expected=f"one that is not published yet ({agent} {version} is {kept.digest[:12]})",
                got=f"other content ({digest[:12]})",
                remedy="Raise `version` in agent.yaml.",
            )
        return kept

    async def evals_of(self, digest: str) -> str:
        """What was put on record about its evals when it was published; empty where nothing was."""
        with typed_errors("reading the audit log"):
            found = await self._pool.fetchval(
                "SELECT detail ->> 'evals' FROM ("
                "SELECT body -> 'detail' AS detail, body ->> 'action' AS action, body ->> 'subject' AS subject "
                "FROM audit_pending UNION ALL SELECT entry::jsonb -> 'detail', entry::jsonb ->> 'action', "
                "entry::jsonb ->> 'subject' FROM audit_entries) AS told "
                "WHERE action = 'bundle.publish' AND subject = $1 LIMIT 1",
                digest,
            )
        return found or ""

    async def find(self, agent: str, reference: str) -> Published:
        """A version by number, digest, or the beginning of a digest (8 characters at least)."""
        with typed_errors("reading bundles"):
            rows = await self._pool.fetch(
                _SELECT + "WHERE agent = $1 AND (version = $2 OR (length($2) >= 8 AND starts_with(digest, $2)))",
                agent,
                reference,
            )
        if len(rows) != 1:
            raise InvalidInputError(
                "version",
                expected=f"one published version of {agent}",
                got=f"{len(rows)} that match {reference[:64]!r}",
                remedy=f"`trunkline bundle list {agent}` shows them.",
            )
        return Published(**rows[0])

    async def versions(self, agent: str | None = None) -> list[Published]:
        """Versions, newest first."""
        with typed_errors("reading bundles"):
            rows = await self._pool.fetch(
                _SELECT + "WHERE $1::text IS NULL OR agent = $1 ORDER BY published_at DESC, version DESC", agent
            )
        return [Published(**row) for row in rows]

    async def load(self, digest: str, trusted: frozenset[bytes] | None = None) -> Bundle:
        """The bundle itself, its digest and signature checked again.

        `trusted`: public keys that may publish; None trusts the key stored with it (integrity, not origin). Raises
        SignatureError when content, signature or key is not right, InvalidInputError when there is none.
        """
        with typed_errors("reading a bundle"):
            row = await self._pool.fetchrow(
                "SELECT agent, version, files, public_key, signature FROM bundles WHERE digest = $1", digest
            )
        if row is None:
            raise InvalidInputError("digest", expected="a published bundle", got=digest[:12])
        files: Mapping[str, str] = row["files"]
        if digest_of(files) != digest:
            raise SignatureError(
                f"The stored files of {row['agent']} {row['version']} are not those that were published."
            )
        if trusted is not None and row["public_key"] not in trusted:
            raise SignatureError(
                f"{row['agent']} {row['version']} was published under a key that is not trusted.",
                remedy="Add the key to bundles.trusted_keys, or publish under one that is there.",
            )
        verify(row["public_key"], row["signature"], row["agent"], row["version"], digest)
        bundle, problems = validate(files)
        if bundle is None:
            raise StoreError(f"The stored bundle {digest[:12]} does not validate here: {problems[0]}.")
        return bundle

    async def release(
        self,
        agent: str,
        label: str,
        published: Published,
        *,
        canary_percent: int,
        by: str,
        reason: str = "",
        evals: str = "",
    ) -> Release:
        """Point `label` at a version: for all new calls (`canary_percent` 0), or for a share of them first."""
        async with self._moving(agent, label) as (connection, now):
            if canary_percent:
                if now is None:
                    raise InvalidInputError(
                        "--canary",
                        expected=f"a label {label!r} that has a release",
                        got="a first release",
                        remedy="Release it whole.",
                    )
                after = Release(agent, label, now.digest, published.digest, canary_percent)
                action = "canary"
            else:
                after = Release(agent, label, published.digest)
                action = "promote" if now is not None and now.canary == published.digest else "release"
            await _move(connection, after, action, by, reason, evals)
        return after

    async def rollback(self, agent: str, label: str, *, by: str, reason: str = "") -> Release:
        """Back to what all calls had before the last change: a canary ends, or the release before is restored."""
        async with self._moving(agent, label) as (connection, now):
            if now is None:
                raise InvalidInputError("label", expected=f"a release of {agent}", got=f"none under {label!r}")
            if now.canary is not None:
                after = Release(agent, label, now.digest)
            else:
                before = await connection.fetchval(
                    "SELECT digest FROM bundle_moves WHERE agent = $1 AND label = $2 AND digest <> $3 "
                    "ORDER BY move DESC LIMIT 1",
                    agent,
                    label,
                    now.digest,
                )
                if before is None:
                    raise InvalidInputError(
                        "rollback", expected="an earlier release", got="none", remedy="Release another version."
                    )
                after = Release(agent, label, before)
            await _move(connection, after, "rollback", by, reason)
        return after

    async def current(self, agent: str, label: str) -> Release | None:
        """Where the label points now."""
        with typed_errors("reading a release"):
            row = await self._pool.fetchrow(_RELEASE, agent, label)
        return Release(**row) if row else None

    async def pick(self, agent: str, label: str, call_id: str) -> str:
        """The digest that a new call pins. Raises InvalidInputError when the label has no release."""
        release = await self.current(agent, label)
        if release is None:
            raise InvalidInputError(
                "agent.bundle",
                expected=f"a released agent ({agent}, label {label})",
                got="none",
                remedy=f"`trunkline bundle release {agent} VERSION --label {label}`.",
            )
        return choose(release, call_id)

    async def history(self, agent: str, label: str) -> list[Move]:
        """Every move of a label, newest first."""
        with typed_errors("reading releases"):
            rows = await self._pool.fetch(
                "SELECT move, agent, label, action, digest, canary, canary_percent, at, by, reason FROM bundle_moves "
                "WHERE agent = $1 AND label = $2 ORDER BY move DESC LIMIT 1000",
                agent,
                label,
            )
        return [Move(**row) for row in rows]

    @asynccontextmanager
    async def _moving(self, agent: str, label: str) -> AsyncIterator[tuple[asyncpg.Connection, Release | None]]:
        """A transaction that holds the label: two people who move it at once do so one after the other."""
        with typed_errors("moving a label"):
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock(hashtext($1))", f"bundle {agent} {label}")
                row = await connection.fetchrow(_RELEASE, agent, label)
                yield cast("asyncpg.Connection", connection), Release(**row) if row else None


_SELECT = "SELECT digest, agent, version, published_at, published_by FROM bundles "
_RELEASE = "SELECT agent, label, digest, canary, canary_percent FROM bundle_releases WHERE agent = $1 AND label = $2"


async def _audit(connection: Any, action: str, by: str, digest: str, detail: dict[str, Any]) -> None:
    """In the transaction of what it tells: both are there or neither."""
    entry = AuditEntry(
        actor=by,
        action=action,
        at=await connection.fetchval("SELECT now()"),
        subject=digest,
        bundle_digest=digest,
        detail=detail,
    )
    await connection.execute("INSERT INTO audit_pending (body) VALUES ($1)", to_jsonb(prepare(entry).body))


async def _move(
    connection: asyncpg.Connection, after: Release, action: str, by: str, reason: str, evals: str = ""
) -> None:
    """The label, its history and the audit's entry in one transaction."""
    detail = {"agent": after.agent, "label": after.label, "canary": after.canary or "", "reason": reason}
    if evals:
        detail["evals"] = evals
    await _audit(connection, f"bundle.{action}", by, after.digest, {**detail, "canary_percent": after.canary_percent})
    await connection.execute(
        "INSERT INTO bundle_releases (agent, label, digest, canary, canary_percent) VALUES ($1, $2, $3, $4, $5) "
        "ON CONFLICT (agent, label) DO UPDATE SET digest = $3, canary = $4, canary_percent = $5",
        after.agent,
        after.label,
        after.digest,
        after.canary,
        after.canary_percent,
    )
    await connection.execute(
        "INSERT INTO bundle_moves (agent, label, action, digest, canary, canary_percent, by, reason) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        after.agent,
        after.label,
        action,
        after.digest,
        after.canary,
        after.canary_percent,
        by,
        reason,
    )
