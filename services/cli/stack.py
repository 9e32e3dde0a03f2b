"""Which processes make the stack, how each is started and asked for its health, and which ports they need."""

import errno
import json
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import aiohttp
import asyncpg
import grpc
import grpc.aio
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.common.clock import Clock, SystemClock
from services.common.errors import InvalidInputError, UnavailableError
from services.common.rpc_client import open_channel
from services.common.settings import ServiceSettings, Settings, load_settings
from services.orchestrator import node
from services.orchestrator.store.embedded import EmbeddedPostgres

MODEL_SERVICES = ("vad", "asr", "llm", "tts")
SERVICES = (*MODEL_SERVICES, "telephony", "orchestrator")
Health = Literal["down", "warming", "ready"]
Probe = Callable[[], Awaitable[tuple[Health, str]]]
PROBE_DEADLINE_S = 2.0
_DRAIN_MARGIN_S = 3.0


@dataclass(frozen=True, slots=True)
class PortNeed:
    """A port a process will listen on, and the setting that names it."""

    setting: str
    host: str
    port: int
    kind: Literal["tcp", "udp"] = "tcp"


@dataclass(frozen=True, slots=True)
class LaunchSpec:
    """One process to start: its arguments, its probe, how long it may take to drain.

    `owns_calls`: it is stopped before the others, and can be restarted in turn without harm to its calls.
    """

    name: str
    argv: tuple[str, ...]
    probe: Probe
    grace_s: float
    address: str
    owns_calls: bool = False


@dataclass(frozen=True, slots=True)
class Launch:
    """What the user asked for: the same arguments go to every process."""

    settings: Settings
    config: Path | None
    profile: str | None
    overrides: tuple[str, ...]

    @classmethod
    def load(cls, config: Path | None, profile: str | None, overrides: Sequence[str]) -> "Launch":
        """Read the settings once here, so that a mistake is one clear sentence and not six."""
        return cls(
            load_settings(config, profile=profile, overrides=override_tree(overrides)),
            config,
            profile,
            tuple(overrides),
        )

    def with_overrides(self, *pairs: str) -> "Launch":
        """The same launch with more `key=value` settings; later ones win."""
        return Launch.load(self.config, self.profile, (*self.overrides, *pairs))

    def argv(self, module: str, *more: str) -> tuple[str, ...]:
        """Command line of one process; `more` are settings of its own."""
        argv = [sys.executable, "-m", module]
        argv += ["--config", str(self.config)] if self.config else []
        argv += ["--profile", self.profile] if self.profile else []
        for pair in (*self.overrides, *more, "log.format=json"):
            argv += ["--set", pair]
        return tuple(argv)


def override_tree(pairs: Sequence[str]) -> dict[str, Any]:
    """`["asr.threads=2"]` → a settings tree. Raises InvalidInputError for a pair without `=`."""
    from services.common.process import parse_overrides

    for pair in pairs:
        if "=" not in pair:
            raise InvalidInputError("--set", expected="KEY=VALUE, e.g. asr.threads=2", got=repr(pair))
    return parse_overrides(list(pairs))


# The scripted reply takes no engine slot: calls must not wait for one another where nothing is computed. For the same
# reason no call is refused: what is measured is our own overhead, also beyond what it can bear. Nor may a caller's own
# gaps between words move the declared waits: that is turn-taking, not overhead.
SCRIPTED = (
    *(f"{name}.engine=scripted" for name in MODEL_SERVICES),
    "llm.slots=64",
    "llm.max_queue=256",
    "orchestrator.admission.enabled=false",
    "orchestrator.max_calls=500",
    "orchestrator.webrtc.max_calls=500",
    "telephony.max_calls=500",
    "orchestrator.turns.later_dip_ms=0",
)


def web_url(settings: Settings) -> str:
    """Where the talk page and the API are."""
    return f"http://{_dialable(settings.web.host)}:{settings.web.port}"


def sip_uri(settings: Settings) -> str:
    """Where to call."""
    sip = settings.telephony.sip
    suffix = "" if sip.transport == "udp" else f";transport={sip.transport}"
    return f"sip:{sip.user}@{_dialable(sip.bind)}:{sip.port}{suffix}"


def local_services(settings: Settings, only: Sequence[str] = ()) -> list[str]:
    """Services to start here: all but those that another machine runs (their `target` is set)."""
    unknown = set(only) - set(SERVICES)
    if unknown:
        raise InvalidInputError("--only", expected=f"some of {', '.join(SERVICES)}", got=", ".join(sorted(unknown)))
    wanted = [name for name in SERVICES if not only or name in only]
    return [name for name in wanted if name == "orchestrator" or not getattr(settings, name).target]


def launch_specs(launch: Launch, names: Sequence[str], clock: Clock) -> list[LaunchSpec]:
    """How to start and probe each of `names`."""
    settings = launch.settings
    specs = []
    for name in names:
        if name == "orchestrator":
            specs += _orchestrators(launch)
            continue
        section: ServiceSettings = getattr(settings, name)
        probe, address = grpc_probe(section.address(), settings, clock), section.address()
        specs.append(LaunchSpec(name, launch.argv(f"services.{name}"), probe, _grace_s(settings), address))
    return specs


def _orchestrators(launch: Launch) -> list[LaunchSpec]:
    """The one process, or the workers with their front and the database they share (services/orchestrator/node.py)."""
    settings, url, grace_s = launch.settings, web_url(launch.settings), _grace_s(launch.settings)
    numbers = node.workers(settings)
    if not numbers:
        probe = http_probe(f"{url}/readyz")
        return [LaunchSpec("orchestrator", launch.argv("services.orchestrator"), probe, grace_s, url, True)]
    specs = []
    if not settings.database.dsn:
        server = EmbeddedPostgres(settings.data_dir, SystemClock())
        probe = database_probe(server.dsn)
        argv = launch.argv("services.orchestrator.database")
        specs.append(LaunchSpec("database", argv, probe, grace_s, str(server.socket_dir)))
    argv = launch.argv("services.orchestrator.front")
    specs.append(LaunchSpec("front", argv, http_probe(f"{url}/healthz"), grace_s, url))
    for worker in numbers:
        path = node.socket_path(settings, worker)
        argv = launch.argv("services.orchestrator", f"orchestrator.worker={worker}")
        probe = http_probe("http://worker/readyz", path)
        specs.append(LaunchSpec(node.worker_name(worker), argv, probe, grace_s, str(path), True))
    return specs


def _grace_s(settings: Settings) -> float:
    return settings.rpc.drain_s + _DRAIN_MARGIN_S


def grpc_probe(target: str, settings: Settings, clock: Clock) -> Probe:
    """Standard health check of a whole process; the channel is opened for each probe and closed after it."""

    async def probe() -> tuple[Health, str]:
        channel = open_channel(target, settings.rpc, idempotent=(), clock=clock)
        try:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=""), timeout=PROBE_DEADLINE_S)
        except grpc.aio.AioRpcError as error:
            return ("down", error.code().name)
        finally:
            await channel.close()
        serving = answer.status == health_pb2.HealthCheckResponse.SERVING
        return ("ready", "") if serving else ("warming", "")

    return probe


def database_probe(dsn: str) -> Probe:
    """Whether the server takes connections."""

    async def probe() -> tuple[Health, str]:
        try:
            connection = await asyncpg.connect(dsn, timeout=PROBE_DEADLINE_S)
        except (OSError, TimeoutError, asyncpg.PostgresError) as error:
            return ("down", type(error).__name__)
        connection.terminate()
        return ("ready", "")

    return probe


def http_probe(url: str, path: Path | None = None) -> Probe:
    """`/readyz` of an orchestrator (on the unix socket `path`): 200 is ready, another answer says what is missing."""

    async def probe() -> tuple[Health, str]:
        timeout = aiohttp.ClientTimeout(total=PROBE_DEADLINE_S)
        connector = aiohttp.UnixConnector(path=str(path)) if path else None
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, connector=connector) as session,
                session.get(url) as answer,
            ):
                return ("ready", "") if answer.status == 200 else ("warming", _reason(await answer.text()))
        except (aiohttp.ClientError, TimeoutError) as error:
            return ("down", type(error).__name__)

    return probe


def _reason(body: str) -> str:
    """A short reason from the JSON of `/readyz`."""
    try:
        answer = json.loads(body)
    except ValueError:
        return ""
    if not isinstance(answer, Mapping):
        return ""
    error = answer.get("error")
    found = error.get("message") if isinstance(error, Mapping) else answer.get("reason") or answer.get("status")
    return str(found or "")[:120]


def ports_needed(settings: Settings, names: Sequence[str]) -> list[PortNeed]:
    """Every port the processes will bind, RTP aside (it is a range; the worker takes what is free)."""
    needs = []
    for name in names:
        section = getattr(settings, name)
        if name == "orchestrator":
            needs.append(PortNeed("web.port", settings.web.host, settings.web.port))
            ports = [node.metrics_port(settings, worker) for worker in node.workers(settings)]
            needs += [PortNeed("orchestrator.metrics_port", settings.metrics.host, port) for port in ports]
        else:
            needs.append(PortNeed(f"{name}.port", section.host, section.port))
        if section.metrics_port:
            needs.append(PortNeed(f"{name}.metrics_port", settings.metrics.host, section.metrics_port))
        if name == "telephony":
            sip = settings.telephony.sip
            needs.append(PortNeed("telephony.sip.port", sip.bind, sip.port, "udp" if sip.transport == "udp" else "tcp"))
    return [need for need in needs if need.port]


def require_fixed_ports(settings: Settings, names: Sequence[str]) -> None:
    """Raises InvalidInputError for a service on port 0: the others would never find it."""
    for name in names:
        setting, port = ("web.port", settings.web.port) if name == "orchestrator" else (f"{name}.port", None)
        if (getattr(settings, name).port if port is None else port) == 0:
            raise InvalidInputError(setting, expected="a port that the other processes can dial", got="0")


def ports_in_use(needs: Sequence[PortNeed]) -> list[PortNeed]:
    """Those that cannot be bound now."""
    return [need for need in needs if not _free(need)]


def require_ports(needs: Sequence[PortNeed]) -> None:
    """Raises UnavailableError naming each port in use, its setting, and the process that has it where visible."""
    busy = ports_in_use(needs)
    if not busy:
        return
    lines = [f"{n.setting} = {n.port} ({n.kind} on {n.host}) is in use{_holder(n)}" for n in busy]
    raise UnavailableError(
        "; ".join(lines) + ".",
        remedy=f"Stop the other process, or choose another port: --set {busy[0].setting}={busy[0].port + 1000}",
    )


def _free(need: PortNeed) -> bool:
    family = socket.AF_INET6 if ":" in need.host else socket.AF_INET
    kind = socket.SOCK_STREAM if need.kind == "tcp" else socket.SOCK_DGRAM
    with socket.socket(family, kind) as probe:
        if need.kind == "tcp":
            # As the servers do: a port in TIME_WAIT is free, one that is listened on is not.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((need.host, need.port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise UnavailableError(
                f"{need.setting}: cannot listen on {need.host}:{need.port}: {error.strerror}.",
                remedy="Use an address of this machine, and a port above 1023 or the right to bind it.",
            ) from error
    return True


def _holder(need: PortNeed) -> str:
    """ " by NAME (pid N)" where the system lets us see it."""
    try:
        for connection in psutil.net_connections(kind="inet"):
            listening = connection.status in (psutil.CONN_LISTEN, psutil.CONN_NONE)
            if connection.laddr and connection.laddr.port == need.port and listening and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except (psutil.Error, OSError):
        return ""
    return ""


def _dialable(host: str) -> str:
    """An address that a program on this machine can connect to."""
    return {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "[::1]"}.get(host, host)
