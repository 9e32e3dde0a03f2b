"""The workers as the front reaches them: HTTP over one unix socket each."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web

from services.common.settings import Settings
from services.orchestrator.front.choice import WorkerState
from services.orchestrator.node import socket_path, workers

# A worker answers look-ups in milliseconds; one whose loop is stalled must not hold the others' answers up.
LOOK_DEADLINE_S = 1.0
ANSWER_DEADLINE_S = 30.0
PASSED_ON = ("Authorization", "Content-Type", "Host", "Origin", "If-None-Match")
PASSED_BACK = ("Content-Type", "Retry-After")


@dataclass(frozen=True, slots=True)
class Answer:
    """A worker's answer, read whole. Status 0: it did not answer."""

    worker: int
    status: int
    body: bytes = b""
    headers: Mapping[str, str] | None = None

    @property
    def json(self) -> dict[str, Any]:
        """The body as an object; empty when it is none."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def response(self) -> web.Response:
        """As the answer to our own client."""
        headers = {name: value for name, value in (self.headers or {}).items() if name in PASSED_BACK}
        return web.Response(status=self.status, body=self.body, headers=headers)


class Workers:
    """All workers of this machine. Use as an async context manager."""

    def __init__(self, settings: Settings) -> None:
        self._paths = {worker: socket_path(settings, worker) for worker in workers(settings)}
        self._sessions: dict[int, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> "Workers":
        for worker, path in self._paths.items():
            connector = aiohttp.UnixConnector(path=str(path), limit=0)
            self._sessions[worker] = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        for session in self._sessions.values():
            await session.close()

    @property
    def numbers(self) -> list[int]:
        """1 to N."""
        return list(self._paths)

    def session(self, worker: int) -> aiohttp.ClientSession | None:
        """To open a WebSocket with; None for a number that no worker has."""
        return self._sessions.get(worker)

    async def ask(
        self, worker: int, request: web.Request, body: bytes = b"", *, deadline_s: float = ANSWER_DEADLINE_S
    ) -> Answer:
        """The same request to one worker; an answer of status 0 when it is not there."""
        return await self._send(worker, request.method, request.path_qs, headers_of(request), body, deadline_s)

    async def ask_all(self, request: web.Request) -> list[Answer]:
        """The same look-up to every worker."""
        return list(await asyncio.gather(*(self.ask(n, request, deadline_s=LOOK_DEADLINE_S) for n in self._sessions)))

    async def states(self) -> list[WorkerState]:
        """Who is ready, with how many calls."""
        answers = await asyncio.gather(
            *(self._send(n, "GET", "/readyz", {}, b"", LOOK_DEADLINE_S) for n in self._sessions)
        )
        return [WorkerState.of(answer.worker, answer.status, answer.json) for answer in answers]

    async def _send(
        self, worker: int, method: str, path: str, headers: Mapping[str, str], body: bytes, deadline_s: float
    ) -> Answer:
        timeout = aiohttp.ClientTimeout(total=deadline_s)
        try:
            async with self._sessions[worker].request(
                method, f"http://worker{path}", headers=headers, data=body or None, timeout=timeout
            ) as answer:
                return Answer(worker, answer.status, await answer.read(), answer.headers.copy())
        except (aiohttp.ClientError, TimeoutError):
            return Answer(worker, 0)


def headers_of(request: web.Request) -> dict[str, str]:
    """What of a request's headers the worker needs."""
    return {name: request.headers[name] for name in PASSED_ON if name in request.headers}
