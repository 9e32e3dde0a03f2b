"""The stack's HTTP API as a client on the same machine uses it, with the operator's token from `data_dir`."""

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self

import aiohttp

from services.cli.stack import web_url
from services.cli.stats import StageSample, parse_samples
from services.common.errors import UnavailableError
from services.common.settings import Settings

_DEADLINE_S = 5.0
_TOKEN_FILE = "operator.token"


class Api:
    """Calls, events and stage times. `available` is False where no operator token can be read."""

    def __init__(self, settings: Settings, base_url: str = "") -> None:
        self.url = base_url or web_url(settings)
        self._token_path = settings.data_dir.expanduser() / _TOKEN_FILE
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        headers = {"Authorization": f"Bearer {token}"} if (token := self._token()) else {}
        self._http = aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=_DEADLINE_S))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.close()

    @property
    def available(self) -> bool:
        """An operator token is at hand."""
        return bool(self._token())

    async def stages(self, since_ns: int) -> list[StageSample]:
        """What the stack measured of itself since `since_ns`."""
        answer = await self._get(f"/api/stages?since_ns={since_ns}")
        return parse_samples(answer.get("samples", []))

    async def about(self) -> dict[str, Any]:
        """Profile, version, engines and models that run."""
        return await self._get("/api/about")

    async def workers(self) -> int:
        """How many orchestrator workers share the calls; 1: one process does everything. Raises UnavailableError."""
        return len((await self._get("/readyz")).get("workers", [])) or 1

    async def call_id(self, peer_reference: str) -> str:
        """The stack's id of our call; "" when it does not know it (or was not asked)."""
        if not peer_reference:
            return ""
        try:
            answer = await self._get(f"/api/calls/by-peer/{peer_reference}")
        except UnavailableError:
            return ""
        return str(answer.get("call_id", ""))

    async def hang_up(self, call_id: str) -> None:
        """End a call from the stack's side. Raises UnavailableError."""
        assert self._http is not None, "use async with"
        try:
            async with self._http.delete(f"{self.url}/api/calls/{call_id}") as answer:
                status = answer.status
        except (aiohttp.ClientError, TimeoutError) as error:
            raise UnavailableError(f"{self.url} does not answer ({type(error).__name__}).") from None
        if status != 200:
            raise UnavailableError(f"The call cannot be ended: expected 200, got {status}.")

    async def completed_ns(self, call_id: str) -> list[int]:
        """When, by the stack, each agent turn of a call had gone out whole. Raises UnavailableError."""
        answer = await self._get(f"/api/calls/{call_id}")
        ended = (e for e in answer.get("events", []) if e.get("type") == "AgentSpeechEnded" and e.get("complete"))
        return [int(event["at_ns"]) for event in ended]

    async def events(self, call_id: str, token: str = "") -> AsyncIterator[dict[str, Any]]:
        """The call's events from its beginning, then live, until it ends. Raises UnavailableError."""
        assert self._http is not None, "use async with"
        query = f"?token={token}" if token else ""
        # The socket lives as long as the call does; its pings have their own deadline.
        no_limit = aiohttp.ClientWSTimeout(ws_receive=None, ws_close=_DEADLINE_S)
        try:
            async with self._http.ws_connect(
                f"{self.url}/api/calls/{call_id}/events{query}", timeout=no_limit, heartbeat=10.0
            ) as socket:
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        yield message.json()
        except aiohttp.ClientError as error:
            raise UnavailableError(f"The call's events cannot be read ({type(error).__name__}).") from None

    async def _get(self, path: str) -> dict[str, Any]:
        assert self._http is not None, "use async with"
        try:
            async with self._http.get(self.url + path) as answer:
                body = await answer.json()
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise UnavailableError(
                f"{self.url} does not answer ({type(error).__name__}).", remedy="Is the stack up? Run trunkline up."
            ) from None
        if status != 200 or not isinstance(body, dict):
            raise UnavailableError(
                f"{path.split('?')[0]}: expected 200, got {status}.",
                remedy=f"The operator token is read from {self._token_path}: use the stack's data_dir.",
            )
        return body

    def _token(self) -> str:
        try:
            return self._token_path.read_text(encoding="ascii").strip()
        except OSError:
            return ""
