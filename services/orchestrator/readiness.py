"""Whether a new call would be served: every part says when it is there, the registry refuses while one is not.

Calls in progress are never touched by this; they notice and act on faults themselves.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.common.clock import Clock, sleep_s
from services.common.errors import TrunklineError
from services.common.log import get_logger
from services.orchestrator.calls import CallRegistry
from services.orchestrator.clients.backoff import Backoff

log = get_logger(__name__)

PROBE_S = 2.0


class Readiness:
    """Collects what is missing."""

    def __init__(self, registry: CallRegistry, parts: tuple[str, ...]) -> None:
        self._registry = registry
        self._missing = set(parts)
        self._tell()

    def set(self, part: str, ready: bool) -> None:
        """One part came or went."""
        if ready == (part not in self._missing):
            return
        (self._missing.discard if ready else self._missing.add)(part)
        log.info("part ready" if ready else "part not ready", part=part, missing=sorted(self._missing))
        self._tell()

    def _tell(self) -> None:
        missing = ", ".join(sorted(self._missing))
        self._registry.set_ready(f"waiting for {missing}" if missing else "")


async def watch_health(part: str, channel: grpc.aio.Channel, readiness: Readiness, clock: Clock) -> None:
    """Follow a service's standard health stream until cancelled; a stream that breaks is opened again."""
    stub: Any = health_pb2_grpc.HealthStub(channel)
    backoff = Backoff()
    while True:
        try:
            async for answer in stub.Watch(health_pb2.HealthCheckRequest(service="")):
                backoff.reset()
                readiness.set(part, answer.status == health_pb2.HealthCheckResponse.SERVING)
        except grpc.aio.AioRpcError:
            # Whatever the status: the service is not there; it is asked again below.
            pass
        readiness.set(part, False)
        await sleep_s(clock, backoff.next_ms() / 1000)


async def watch_probe(part: str, probe: Callable[[], Awaitable[object]], readiness: Readiness, clock: Clock) -> None:
    """Ask every two seconds until cancelled; `probe` raises TrunklineError while the part is away."""
    while True:
        try:
            await probe()
        except TrunklineError:
            readiness.set(part, False)
        else:
            readiness.set(part, True)
        await sleep_s(clock, PROBE_S)


async def watch_flag(part: str, is_up: Callable[[], bool], readiness: Readiness, clock: Clock) -> None:
    """Wait until something that comes up by itself has come up once."""
    while not is_up():
        await sleep_s(clock, 0.05)
    readiness.set(part, True)


def spawn_all(tasks: asyncio.TaskGroup, *coroutines: Any) -> None:
    """Start each in the group."""
    for coroutine in coroutines:
        tasks.create_task(coroutine)
