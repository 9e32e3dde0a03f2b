"""A whole stack of real processes with scripted models on free ports, each service in a supervisor of its own, so
that one can be started again with other settings while the rest stays up."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from services.cli.caller_role import free_ports
from services.cli.stack import SCRIPTED, Launch, http_probe, launch_specs, local_services, web_url
from services.cli.supervisor import Supervisor
from services.common.clock import SystemClock, sleep_s

# Real models on a busy machine take minutes to be warm.
READY_S = 180.0


def isolated(folder: Path, *pairs: str) -> Launch:
    """Scripted models, free ports, short sentences: a turn takes about two seconds."""
    names = ("vad", "asr", "llm", "tts", "telephony")
    grpc = free_ports(len(names) + 2)
    ports = [f"{name}.port={port}" for name, port in zip(names, grpc, strict=False)]
    quiet = [f"{name}.metrics_port=0" for name in (*names, "orchestrator")]
    return Launch.load(
        None,
        "cpu",
        [
            *SCRIPTED,
            *ports,
            *quiet,
            f"telephony.sip.port={grpc[-2]}",
            f"web.port={grpc[-1]}",
            "telephony.sip.rtp_ports=36000,37999",
            f"data_dir={folder}",
            "agent.greeting=Hello.",
            "llm.max_tokens=3",
            "rpc.drain_s=2",
            *pairs,
        ],
    )


class Stack:
    """Supervisors by service."""

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self._clock = SystemClock()
        self._running: dict[str, Supervisor] = {}

    async def start(self, *names: str, launch: Launch | None = None) -> None:
        """Start these and wait until they are ready."""
        started = []
        for name in names:
            specs = launch_specs(launch or self.launch, [name], self._clock)
            supervisor = Supervisor(specs, self.launch.settings.data_dir / "logs", self._clock)
            supervisor.start()
            self._running[name] = supervisor
            started.append(supervisor)
        for supervisor in started:
            await supervisor.until_ready(READY_S)

    def supervisor(self, name: str) -> Supervisor:
        """Of one service (all workers of the orchestrator)."""
        return self._running[name]

    async def restart(self, name: str, *pairs: str) -> None:
        """The same service with more settings."""
        await self._running[name].stop()
        await self.start(name, launch=self.launch.with_overrides(*pairs))

    async def ready(self) -> None:
        """Every service is ready, and the orchestrator says that it has noticed.

        Asked directly: what a supervisor knows of it may be older than the service that was started again.
        """
        for supervisor in self._running.values():
            await supervisor.until_ready(READY_S)
        probe = http_probe(f"{web_url(self.launch.settings)}/readyz")
        async with asyncio.timeout(READY_S):
            while (await probe())[0] != "ready":
                await sleep_s(self._clock, 0.1)

    async def stop(self) -> None:
        """Orchestrator first."""
        for name in reversed(list(self._running)):
            await self._running[name].stop()


@contextlib.asynccontextmanager
async def scripted_stack(*pairs: str) -> AsyncIterator[Stack]:
    """Up and ready; stopped at the end. The folder has a short name: PostgreSQL's socket lies in it."""
    with tempfile.TemporaryDirectory(prefix="tl") as folder:
        stack = Stack(isolated(Path(folder), *pairs))
        try:
            await stack.start(*local_services(stack.launch.settings))
            yield stack
        finally:
            await stack.stop()
