"""The example bank beside a stack: its agent published and released, its back end with books of its own.

    house = await bank_house(launch, clock)          # before the stack starts: a data directory of its own, made afresh
    async with started_stack(house.launch, …), running_bank(house, clock): …
    rows = await house.books("SELECT …")

The books are a database of their own in the PostgreSQL that the stack embeds. Everything lies under one folder of the
data directory, emptied at every start: what was paid in an earlier run would rightly not be paid again.
"""

import asyncio
import contextlib
import shutil
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from services.cli.caller_role import free_ports
from services.cli.stack import Launch, LaunchSpec, http_probe
from services.cli.supervisor import Supervisor
from services.cli.terminal import always
from services.common.clock import Clock
from services.common.errors import InvalidInputError
from services.common.postgres import typed_errors
from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.bundles.checks import validate_directory
from services.orchestrator.bundles.signing import Signer
from services.orchestrator.store.bundles import BundleStore
from services.orchestrator.store.database import migrated_pool
from services.orchestrator.store.embedded import DATABASE, EmbeddedPostgres

AGENT: Final = "bank-retail"
DIRECTORY: Final = Path(__file__).parents[2] / "deploy" / "agents" / AGENT
LOCALE: Final = "en-GB"
# The first of the example customers (backend/seed.sql).
CUSTOMER: Final = "c-1001"
NUMBER: Final = "+441632960123"
PIN: Final = "4321"
READY_S: Final = 30.0
_BANK_DATABASE: Final = "bank"
# Says that a folder is ours to empty.
_MARK: Final = "made-by-trunkline-demo"


@dataclass(frozen=True, slots=True)
class BankHouse:
    """Where everything is. `launch` starts a stack whose calls do the bank's business."""

    launch: Launch
    data_dir: Path
    dsn: str
    port: int
    digest: str

    @property
    def url(self) -> str:
        """Of the back end."""
        return f"http://127.0.0.1:{self.port}"

    async def books(self, sql: str, *values: object) -> list[asyncpg.Record]:
        """Rows of the bank's own database. Raises UnavailableError, StoreError."""
        with typed_errors("reading the bank's books"):
            connection = await asyncpg.connect(self.dsn)
            try:
                rows: list[asyncpg.Record] = await connection.fetch(sql, *values)
                return rows
            finally:
                connection.terminate()


async def bank_house(launch: Launch, clock: Clock, folder: str = "demo") -> BankHouse:
    """Make the database, publish and release the agent under a key of this folder.

    Raises InvalidInputError for a folder that is somebody else's or a bundle that does not validate, UnavailableError
    when the folder is in use.
    """
    bundle = _bundle()
    data_dir = launch.settings.data_dir.expanduser().resolve() / folder
    await _make_empty(data_dir, clock)
    key = data_dir / "bundle-key.pem"
    signer = Signer.create(key)
    port = free_ports(1)[0]
    mine = launch.with_overrides(
        f"data_dir={data_dir}",
        "database.dsn=",
        f"agent.bundle={AGENT}",
        f"agent.locale={LOCALE}",
        f"bundles.signing_key={key}",
        f"bundles.trusted_keys={signer.public.hex()}",
        f"control.backends.{AGENT}=http://127.0.0.1:{port}",
    )
    server = EmbeddedPostgres(data_dir, clock)
    dsn = await server.start()
    try:
        pool = await migrated_pool(dsn, mine.settings)
        try:
            store = BundleStore(pool)
            published = await store.publish(bundle, signer, "demo")
            await store.release(
                AGENT, mine.settings.agent.label, published, canary_percent=0, by="demo", reason="the demo"
            )
            await pool.execute(f"CREATE DATABASE {_BANK_DATABASE}")
        finally:
            pool.terminate()
            # asyncpg closes its transports in the next round of the loop.
            await asyncio.sleep(0)
    finally:
        await always(server.stop())
    bank_dsn = dsn.replace(f"@/{DATABASE}?", f"@/{_BANK_DATABASE}?")
    return BankHouse(mine, data_dir, bank_dsn, port, published.digest)


@contextlib.asynccontextmanager
async def running_bank(house: BankHouse, clock: Clock) -> AsyncIterator[None]:
    """The back end as a process, with its example customers; the stack's database must be up."""
    argv = (sys.executable, str(DIRECTORY / "backend" / "serve.py"), "--dsn", house.dsn, "--port", str(house.port))
    probe = http_probe(f"{house.url}/customers/{CUSTOMER}")
    spec = LaunchSpec("bank", (*argv, "--seed"), probe, grace_s=2.0, address=house.url)
    supervisor = Supervisor([spec], house.data_dir / "logs", clock)
    supervisor.start()
    try:
        await supervisor.until_ready(READY_S)
        yield
    finally:
        await always(supervisor.stop())


def _bundle() -> Bundle:
    bundle, problems = validate_directory(DIRECTORY)
    if bundle is None:
        raise InvalidInputError(
            str(DIRECTORY),
            expected="the example bundle, whole",
            got=str(problems[0]),
            remedy="Run from a checkout of the repository; `trunkline bundle validate` names every fault.",
        )
    return bundle


async def _make_empty(data_dir: Path, clock: Clock) -> None:
    """A new folder, or what an earlier run left in it taken away (its database server too, if it was killed)."""
    if _is_ours(data_dir):
        left = EmbeddedPostgres(data_dir, clock)
        if left.exists:
            # Starting takes the lock (nobody uses it) and adopts a server that a killed run left behind.
            await left.start()
            await left.stop()
        await asyncio.to_thread(shutil.rmtree, data_dir)
    await asyncio.to_thread(_mark, data_dir)


def _is_ours(data_dir: Path) -> bool:
    """False when there is nothing. Raises InvalidInputError for files that no demo made."""
    if not data_dir.exists() or not any(data_dir.iterdir()):
        return False
    if not (data_dir / _MARK).exists():
        raise InvalidInputError(
            str(data_dir),
            expected="a folder that an earlier demo made, or none",
            got="other files",
            remedy="Move it away, or choose another place: --set data_dir=…",
        )
    return True


def _mark(data_dir: Path) -> None:
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    (data_dir / _MARK).write_text("Emptied at the next `trunkline demo`.\n", encoding="utf-8")
