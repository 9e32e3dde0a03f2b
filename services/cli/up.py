"""A running stack for a command: the one that answers already, or one started here and stopped afterwards."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import typer

from services.cli.rolling import RollingRestarts
from services.cli.stack import (
    Launch,
    http_probe,
    launch_specs,
    local_services,
    ports_needed,
    require_fixed_ports,
    require_ports,
    sip_uri,
    web_url,
)
from services.cli.supervisor import Supervisor
from services.cli.terminal import Interrupts, StackView, always
from services.common.clock import Clock

# Loading and warming: seconds for the cpu profile, minutes where vLLM compiles and captures graphs.
READY_DEADLINE_S = {"cpu": 240.0, "nvidia": 900.0}


@dataclass(frozen=True)
class RunningStack:
    """Where it is. `pids` is empty when it was running before we came."""

    launch: Launch
    ours: bool
    supervisor: Supervisor | None = field(default=None, repr=False)

    @property
    def web(self) -> str:
        """The talk page and API."""
        return web_url(self.launch.settings)

    @property
    def sip(self) -> str:
        """Where to call."""
        return sip_uri(self.launch.settings)

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by service."""
        return self.supervisor.pids if self.supervisor else {}


@contextlib.asynccontextmanager
async def started_stack(
    launch: Launch, clock: Clock, interrupts: Interrupts, view: StackView, only: Sequence[str] = ()
) -> AsyncIterator[RunningStack]:
    """Start the stack, wait until it is ready, and stop it at the end whatever happens.

    Raises UnavailableError (a port in use, a process that cannot start) or DeadlineError.
    """
    settings = launch.settings
    names = local_services(settings, only)
    require_fixed_ports(settings, names)
    require_ports(ports_needed(settings, names))
    log_dir = settings.data_dir.expanduser() / "logs"
    supervisor = Supervisor(launch_specs(launch, names, clock), log_dir, clock, view.changed)
    interrupts.at_once = supervisor.kill
    view.watch(lambda: supervisor.views)
    supervisor.start()
    try:
        with view:
            await supervisor.until_ready(READY_DEADLINE_S[settings.profile])
        yield RunningStack(launch, True, supervisor)
    finally:
        await always(supervisor.stop())


@contextlib.asynccontextmanager
async def running_or_started(
    launch: Launch, clock: Clock, interrupts: Interrupts, view: StackView
) -> AsyncIterator[RunningStack]:
    """The stack that answers at the settings' address, else a new one."""
    health, _ = await http_probe(f"{web_url(launch.settings)}/readyz")()
    if health == "ready":
        yield RunningStack(launch, False)
        return
    async with started_stack(launch, clock, interrupts, view) as stack:
        yield stack


async def up(launch: Launch, only: Sequence[str], clock: Clock, interrupts: Interrupts, as_json: bool) -> int:
    """`trunkline up`: run until Ctrl-C. Returns 0 after an orderly stop."""
    view = StackView(as_json)
    async with started_stack(launch, clock, interrupts, view, only) as stack:
        where = {"event": "ready", "web": stack.web, "sip": stack.sip, "logs": str(_log_dir(launch))}
        if as_json:
            typer.echo(json.dumps(where))
        else:
            for line in where_to_talk(stack, only):
                view.console.print(line, markup=False, highlight=False)
        assert stack.supervisor is not None  # it is ours
        try:
            with RollingRestarts(launch, stack.supervisor).listening():
                await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            if not interrupts.seen:
                raise
            if not as_json:
                view.console.print("Stopping: calls in progress are ended first (Ctrl-C again: at once).")
    return 0


def where_to_talk(stack: RunningStack, only: Sequence[str] = ()) -> list[str]:
    """Lines for a person. `only`: the services that were started; nobody can call a language model."""
    browser = [f"Talk from a browser:  {stack.web}"] if not only or "orchestrator" in only else []
    sip = [f"Call over SIP:        {stack.sip}"] if not only or "telephony" in only else []
    return [
        "",
        *browser,
        *sip,
        f"Logs:                 {_log_dir(stack.launch)}",
        "Ctrl-C stops everything.",
    ]


def _log_dir(launch: Launch) -> object:
    return launch.settings.data_dir.expanduser() / "logs"
