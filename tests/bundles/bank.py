"""The example bank as its own process, on a database of its own."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import asyncpg

SERVE = Path(__file__).parents[2] / "deploy" / "agents" / "bank-retail" / "backend" / "serve.py"


@dataclass
class Bank:
    """Where it answers, and its books for tests to look into."""

    url: str
    dsn: str
    process: asyncio.subprocess.Process

    async def fault(self, mode: str, operation: str = "*", count: int = 1, ms: int = 0) -> None:
        async with aiohttp.ClientSession() as http:
            body = {"mode": mode, "operation": operation, "count": count, "ms": ms}
            async with http.post(f"{self.url}/faults", json=body) as answer:
                assert answer.status == 200, await answer.text()

    async def heal(self) -> None:
        async with aiohttp.ClientSession() as http, http.delete(f"{self.url}/faults") as answer:
            assert answer.status == 200

    async def rows(self, sql: str, *values: object) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.dsn)
        try:
            return await connection.fetch(sql, *values)
        finally:
            await connection.close()


@contextlib.asynccontextmanager
async def running_bank(dsn: str, port: int) -> AsyncIterator[Bank]:
    """Start it with its example customers, wait for its own word that it listens, stop it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SERVE), "--dsn", dsn, "--port", str(port), "--seed", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), 20)
        assert line.startswith(b"bank on "), line
        yield Bank(line.split()[-1].decode(), dsn, process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
