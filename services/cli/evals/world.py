"""The world of one run: a PostgreSQL of its own, the bundle's back end as a process, its customers, faults and books.

Everything here is real and the back end's own: gates read what it wrote, by the SQL that the bundle states, on a
connection that the runtime never sees. Each call has a subject of its own, so that calls share nothing but the switch.
"""

import asyncio
import contextlib
import hashlib
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from services.cli.caller_role import free_ports
from services.common.clock import SystemClock
from services.common.errors import InvalidInputError, UnavailableError
from services.common.settings import Settings, load_settings
from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.bundles.evals import Fault, Plain, World
from services.orchestrator.store.database import migrated_pool
from services.orchestrator.store.embedded import EmbeddedPostgres

READY_S = 20.0


@dataclass(frozen=True, slots=True)
class Done:
    """One act in the books."""

    kind: str
    object: str
    amount_minor: int | None
    key: str

    def to_json(self) -> dict[str, Any]:
        """For the report."""
        return {"kind": self.kind, "object": self.object, "amount_minor": self.amount_minor}

    def matches(self, wanted: Mapping[str, Plain]) -> bool:
        """Whether it has the fields that an expectation names."""
        return all(getattr(self, name, None) == value for name, value in wanted.items())


class Books:
    """What the back end has on record about one subject."""

    def __init__(self, pool: asyncpg.Pool, world: World) -> None:
        self._pool = pool
        self._queries = world.books

    async def done(self, subject: str) -> list[Done]:
        """Acts, oldest first."""
        rows = await self._pool.fetch(self._queries.done, subject)
        return [Done(row["kind"], row["object"], row["amount_minor"], row["key"]) for row in rows]

    async def state(self, subject: str) -> dict[str, Any]:
        """The row that scenarios compare."""
        row = await self._pool.fetchrow(self._queries.state, subject) if self._queries.state else None
        return dict(row) if row is not None else {}

    async def forbidden(self, subject: str) -> list[str]:
        """What no conversation may bring about, and is there."""
        found = [row[0] for query in self._queries.forbidden for row in await self._pool.fetch(query, subject)]
        return [str(one) for one in found]

    async def known(self, subject: str) -> set[str]:
        """Values that may be said because the books hold them."""
        rows = await self._pool.fetch(self._queries.known, subject) if self._queries.known else []
        return {str(row[0]) for row in rows}

    async def records(self, subject: str) -> set[str]:
        """Identifiers of the subject's own records."""
        rows = await self._pool.fetch(self._queries.records, subject) if self._queries.records else []
        return {str(row[0]) for row in rows}


class FaultSwitch:
    """The back end's own switch, over HTTP."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self._url = url
        self._http = http

    async def set(self, faults: Sequence[Fault]) -> None:
        """Switch these on, beside those that are."""
        for fault in faults:
            body = fault.model_dump(include={"mode", "operation", "count", "ms"})
            async with self._http.post(f"{self._url}/faults", json=body) as answer:
                if answer.status != 200:
                    raise InvalidInputError("faults", expected="a fault the back end knows", got=await answer.text())

    async def clear(self) -> None:
        """All off."""
        async with self._http.delete(f"{self._url}/faults"):
            pass


@dataclass(frozen=True, slots=True)
class Stage:
    """What a conversation is played on."""

    bundle: Bundle
    world: World
    settings: Settings
    pool: asyncpg.Pool
    dsn: str
    url: str
    http: aiohttp.ClientSession
    books: Books
    faults: FaultSwitch
    # How many calls there were: each has its own customer and number.
    numbers: list[int]

    async def enter(self, customer: str, subject: str, number: str, extra: str = "") -> None:
        """Put one caller into the books. Raises InvalidInputError for SQL that the back end's database refuses."""
        person = self.world.customers[customer]
        places = {"{subject}": subject, "{number}": number}
        if "{pin_hash}" in self.world.seed[customer]:
            digest = hashlib.pbkdf2_hmac("sha256", person.pin.encode(), subject.encode(), self.world.pin_rounds)
            places["{pin_hash}"] = digest.hex()
        sql = f"{self.world.seed[customer]};{extra}"
        for place, value in places.items():
            sql = sql.replace(place, value)
        try:
            await self.pool.execute(sql)
        except asyncpg.PostgresError as error:
            raise InvalidInputError(
                "world.seed", expected="SQL that runs", got=str(error)[:200], remedy="Correct it."
            ) from None


@contextlib.asynccontextmanager
async def stage(bundle: Bundle, directory: Path, data_dir: Path) -> AsyncIterator[Stage]:
    """Everything up, and down again. `directory`: where the bundle's `back_end` lies.

    Raises InvalidInputError for a bundle without a world, UnavailableError for a back end that does not start.
    """
    world = bundle.world()
    if world is None:
        raise InvalidInputError(
            "evals", expected="a file under evals/ with `world:`", got="none", remedy="See docs/evals.md."
        )
    script = _script(directory, world)
    settings = load_settings(env={}, overrides={"data_dir": str(data_dir), "database": {"pool_size": 8}})
    server = EmbeddedPostgres(data_dir, SystemClock())
    await server.start()
    try:
        pool = await migrated_pool(server.dsn, settings)
        try:
            async with _back_end(script, server.dsn) as url, aiohttp.ClientSession() as http:
                books = Books(pool, world)
                yield Stage(bundle, world, settings, pool, server.dsn, url, http, books, FaultSwitch(url, http), [0])
        finally:
            pool.terminate()
            await asyncio.sleep(0)
    finally:
        await server.stop()


def _script(directory: Path, world: World) -> Path:
    script = directory / world.back_end
    if not script.is_file():
        raise InvalidInputError("world.back_end", expected="a script of the bundle", got=str(script))
    return script


@contextlib.asynccontextmanager
async def _back_end(script: Path, dsn: str) -> AsyncIterator[str]:
    port = free_ports(1)[0]
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), "--dsn", dsn, "--port", str(port), stdout=asyncio.subprocess.PIPE
    )
    try:
        if process.stdout is None:
            raise UnavailableError(f"{script.name} has no output.")
        try:
            said = (await asyncio.wait_for(process.stdout.readline(), READY_S)).decode(errors="replace")
        except TimeoutError:
            said = ""
        if " on http" not in said:
            raise UnavailableError(
                f"The back end {script.name} did not say within {READY_S:.0f} s where it listens.",
                remedy=f"Run it by itself: python {script} --dsn …",
            )
        yield said.split()[-1]
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
