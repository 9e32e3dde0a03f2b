"""What all calls of a worker share in control: back ends, breakers, compiled rules, the store, acts under way."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp

from services.common.clock import Clock
from services.common.errors import SettingsError, TrunklineError
from services.common.log import get_logger
from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.bundles.templates import fill
from services.orchestrator.control.backend import BackEnd
from services.orchestrator.control.breaker import Breakers
from services.orchestrator.control.execute import Executor
from services.orchestrator.control.policy import Policy
from services.orchestrator.store.effects import EffectStore
from services.records.audit_log import AuditSink

if TYPE_CHECKING:
    from services.orchestrator.control.review import Reviewing

log = get_logger(__name__)
T = TypeVar("T")
KEPT_BUNDLES = 16


class ControlRoom:
    """Lives as long as the worker: a breaker that one call opened is open for the next."""

    def __init__(
        self,
        effects: EffectStore,
        audit: AuditSink,
        backends: Mapping[str, str],
        http: aiohttp.ClientSession,
        clock: Clock,
    ) -> None:
        """`backends`: agent id → base URL of its back end."""
        self.effects, self.audit, self.clock = effects, audit, clock
        self.breakers = Breakers()
        # Where there are people to ask (worker.py).
        self.reviewing: Reviewing | None = None
        self._urls, self._http = dict(backends), http
        self._backends: dict[str, BackEnd] = {}
        self._policies: dict[str, Policy] = {}
        self._sentences: dict[tuple[str, str], tuple[str, ...]] = {}
        self._acts: set[asyncio.Task[Any]] = set()

    def backend(self, agent: str) -> BackEnd:
        """The agent's back end; where none is named, one that says so to every request."""
        if agent not in self._backends:
            if agent not in self._urls:
                log.error("no back end for this agent", agent=agent, remedy="set control.backends")
            self._backends[agent] = BackEnd(self._urls.get(agent, ""), self._http, self.clock)
        return self._backends[agent]

    def require_backend(self, agent: str) -> None:
        """Raises SettingsError when none is named: for a person's command, which can be given elsewhere."""
        if agent not in self._urls:
            raise SettingsError(
                f"No back end is named for {agent!r}.",
                remedy=f"Set control.backends.{agent} to its URL, or do it there.",
            )

    def executor(self, backend: BackEnd) -> Executor:
        """Over the shared breakers."""
        return Executor(self.effects, backend, self.clock, self.breakers)

    def policy(self, bundle: Bundle) -> Policy:
        """Compiled once per version."""
        found = self._policies.get(bundle.digest)
        if found is None:
            if len(self._policies) >= KEPT_BUNDLES:
                self._policies.pop(next(iter(self._policies)))
            found = self._policies[bundle.digest] = Policy(bundle)
        return found

    def sentences(self, bundle: Bundle, locale: str) -> tuple[str, ...]:
        """What the bundle itself says in a locale, without its places: what free text may repeat."""
        key = (bundle.digest, locale)
        if key not in self._sentences:
            if len(self._sentences) >= 4 * KEPT_BUNDLES:
                self._sentences.pop(next(iter(self._sentences)))
            prompts = bundle.prompts.get(locale, {})
            own = [prompt.text for name, prompt in prompts.items() if name != bundle.agent.system]
            self._sentences[key] = tuple(fill(text, lambda _name, _filter: " ") for text in own)
        return self._sentences[key]

    def keep(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """An act in a task of the worker's: it goes on when the call that asked for it is cut."""
        task = asyncio.get_running_loop().create_task(work, name="act")
        self._acts.add(task)
        task.add_done_callback(self._ended)
        return task

    async def drain(self) -> None:
        """Wait for acts under way; each has its own deadlines."""
        while self._acts:
            await asyncio.gather(*self._acts, return_exceptions=True)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._acts.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, TrunklineError):
            log.error("act ended with an error", error=type(error).__name__)
