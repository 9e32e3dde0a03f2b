"""CPU time, memory and waiting for a core, of a stack during a benchmark; children count with their parent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from services.cli.stack import PortNeed, ports_needed
from services.common.clock import Clock, sleep_s
from services.common.settings import Settings
from services.orchestrator import node

_SAMPLE_EVERY_S = 1.0


@dataclass(slots=True)
class ProcessUse:
    """One process: CPU seconds (user and system) since the measurement began, and its highest resident memory.

    `waited_s`: how long its threads were ready to run and had no core (Linux; elsewhere 0). What a turn loses to that
    is the machine's doing, not the process's.
    """

    cpu_s: float = 0.0
    rss_mb: float = 0.0
    waited_s: float = 0.0


@dataclass(slots=True)
class ResourceMeter:
    """Use: `begin()`, run `follow()` as a task beside the work, `end()`. A process that died keeps what was seen.

    Children are looked for once, at the beginning: that reads the whole process table, which would make the callers
    on this event loop late if it were done every second.
    """

    pids: Mapping[str, int]
    clock: Clock
    # Also this process, without the children that have a line of their own.
    own_name: str = ""
    use: dict[str, ProcessUse] = field(default_factory=dict)
    _families: dict[str, list[psutil.Process]] = field(default_factory=dict)
    _start_cpu_s: dict[str, float] = field(default_factory=dict)
    _start_waited_s: dict[str, float] = field(default_factory=dict)

    def begin(self) -> None:
        """From here on CPU time counts."""
        self._families = {name: _family(pid) for name, pid in self.pids.items()}
        if self.own_name:
            self._families[self.own_name] = [psutil.Process()]
        for name, family in self._families.items():
            self._start_cpu_s[name] = _look(family)[0]
            self._start_waited_s[name] = _waited_s(family)
            self.use[name] = ProcessUse()

    async def follow(self) -> None:
        """Sample every second until cancelled."""
        while True:
            self._sample()
            await sleep_s(self.clock, _SAMPLE_EVERY_S)

    def end(self) -> None:
        """Last reading."""
        self._sample()
        for name, family in self._families.items():
            self.use[name].waited_s = max(0.0, _waited_s(family) - self._start_waited_s[name])

    def to_json(self, call_minutes: float) -> dict[str, dict[str, float]]:
        """Per process: `cpu_s_per_call_minute`, `cpu_s`, `rss_mb`, `waited_s`."""
        return {
            name: {
                "cpu_s_per_call_minute": round(use.cpu_s / call_minutes, 3) if call_minutes else 0.0,
                "cpu_s": round(use.cpu_s, 2),
                "rss_mb": round(use.rss_mb, 1),
                "waited_s": round(use.waited_s, 2),
            }
            for name, use in self.use.items()
        }

    def _sample(self) -> None:
        for name, family in self._families.items():
            cpu_s, rss_mb = _look(family)
            use = self.use[name]
            use.cpu_s = max(use.cpu_s, cpu_s - self._start_cpu_s[name])
            use.rss_mb = max(use.rss_mb, rss_mb)


def listening_pids(settings: Settings, names: list[str]) -> dict[str, int]:
    """The processes of a stack we did not start, by the ports they listen on; those we may not see are left out."""
    needs = {
        _service(need): need for need in ports_needed(settings, names) if not need.setting.endswith("metrics_port")
    }
    if numbers := node.workers(settings) if "orchestrator" in names else range(0):
        # The web port is the front's; a worker listens on its metrics port only (besides a unix socket).
        needs["front"] = needs.pop("orchestrator")
        for worker in numbers:
            if port := node.metrics_port(settings, worker):
                needs[node.worker_name(worker)] = PortNeed("", settings.metrics.host, port)
    found: dict[str, int] = {}
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return {}
    for name, need in needs.items():
        for connection in connections:
            if connection.laddr and connection.laddr.port == need.port and connection.status == psutil.CONN_LISTEN:
                if connection.pid:
                    found[name] = connection.pid
                break
    return found


def _service(need: PortNeed) -> str:
    name = need.setting.split(".")[0]
    return "orchestrator" if name == "web" else name if need.kind == "tcp" and need.setting.count(".") == 1 else "-"


def _family(pid: int) -> list[psutil.Process]:
    """A process and its descendants; nothing when it is gone."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _look(family: list[psutil.Process]) -> tuple[float, float]:
    """(CPU seconds, resident MB) of those that live."""
    cpu_s = rss_mb = 0.0
    for member in family:
        try:
            times = member.cpu_times()
            cpu_s += times.user + times.system
            rss_mb += member.memory_info().rss / 1e6
        except psutil.Error:
            continue
    return cpu_s, rss_mb


def _waited_s(family: list[psutil.Process]) -> float:
    """Seconds on a run queue so far, of all threads that live (second field of schedstat, ns)."""
    waited_ns = 0
    for member in family:
        for thread in Path(f"/proc/{member.pid}/task").glob("*/schedstat"):
            try:
                waited_ns += int(thread.read_text(encoding="ascii").split()[1])
            except (OSError, IndexError, ValueError):
                # It has just ended, or this kernel does not count.
                continue
    return waited_ns / 1e9
