"""What answers here: for operators in full, for the page only what a caller may know; and health."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from services.common.clock import Clock
from services.orchestrator.web.context import context_of
from services.orchestrator.web.errors import json_error

# The running stack: {"profile", "version", "commit", "services": {name: Describe as JSON}, "settings"}.
AboutSource = Callable[[], Awaitable[dict[str, Any]]]
KEEP_NS = 5_000_000_000


class AboutHandler:
    """Asks the source at most once in five seconds, however many pages are open."""

    def __init__(self, source: AboutSource, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._kept: dict[str, Any] = {}
        self._kept_until_ns = 0
        self._lock = asyncio.Lock()

    async def full(self, request: web.Request) -> web.Response:
        """GET /api/about, operators only."""
        context_of(request).access.require_operator(request)
        return web.json_response(await self._facts())

    async def public(self, request: web.Request) -> web.Response:
        """GET /api/about/public: which models answer, and how the browser reaches us. No token."""
        facts = await self._facts()
        settings = context_of(request).settings.orchestrator.webrtc
        services = {
            name: {
                "engine": described.get("engine", ""),
                "models": [model.get("name", "") for model in described.get("models", [])],
                "device": described.get("device", ""),
            }
            for name, described in facts.get("services", {}).items()
            if name in ("vad", "asr", "llm", "tts") and isinstance(described, dict)
        }
        return web.json_response(
            {
                "name": "Trunkline",
                "version": facts.get("version", ""),
                "profile": facts.get("profile", ""),
                "services": services,
                # TURN credentials stay here: our own relay candidate serves the browser as well.
                "stun": [url for url in settings.ice_servers if url.startswith("stun:")],
                "webrtc": settings.enabled,
            }
        )

    async def _facts(self) -> dict[str, Any]:
        async with self._lock:
            if self._clock.now_ns() >= self._kept_until_ns:
                self._kept = await self._source()
                self._kept_until_ns = self._clock.now_ns() + KEEP_NS
            return self._kept


async def healthz(_request: web.Request) -> web.Response:
    """GET /healthz: the process answers."""
    return web.json_response({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """GET /readyz: whether a new call would be taken; with how many calls there are and may be."""
    registry = context_of(request).registry
    if reason := registry.not_ready:
        return json_error(503, "not_ready", f"Not ready: {reason}.", "Wait, or see the log.", retry_after_s=2)
    calls = {"calls": len(registry.live()), "capacity": registry.capacity, "refusing": registry.refusing}
    return web.json_response({"status": "ready", **calls})
