"""The orchestrator process: clients, calls, database and web put together; started, watched, drained."""

import asyncio
import signal
from dataclasses import replace

from aiohttp.web import Application

from services.common.clock import Clock
from services.common.errors import TrunklineError
from services.common.event_loop import calm_collector
from services.common.log import get_logger
from services.common.rpc_client import open_channel
from services.common.settings import AgentSettings, Settings
from services.orchestrator.about import About
from services.orchestrator.agents import Agents, until_ready
from services.orchestrator.audit_door import AuditDoor
from services.orchestrator.business import Office
from services.orchestrator.call import Call
from services.orchestrator.call_context import Services
from services.orchestrator.calls import CallHandle, CallRegistry
from services.orchestrator.clients.embed import EmbedClient
from services.orchestrator.clients.llm import LlmClient
from services.orchestrator.clients.tts import TtsClient, Voice
from services.orchestrator.clients.vad import VadClient
from services.orchestrator.control.worker import ControlWorker, open_control
from services.orchestrator.load_watch import Admission
from services.orchestrator.media.audio import warm as warm_audio
from services.orchestrator.media.leg import Leg
from services.orchestrator.media.telephony_leg import TelephonyLeg
from services.orchestrator.media.telephony_line import Presence, TelephonyLine
from services.orchestrator.media.ticker import Ticker
from services.orchestrator.node import prepare_socket, socket_path, worker_name
from services.orchestrator.readiness import Readiness, spawn_all, watch_flag, watch_health, watch_probe
from services.orchestrator.store import Store, open_store
from services.orchestrator.store.callbacks import CallbackStore
from services.orchestrator.store.dialogue import DialogueStore
from services.orchestrator.stored_calls import StoredCalls
from services.orchestrator.web.app import create_app
from services.orchestrator.web.auth import load_operator_token
from services.orchestrator.web.server import RunningWeb, start_web, start_web_on

log = get_logger(__name__)

SIP_UNAVAILABLE = 503
# G.711, G.722, Opus.
TELEPHONE_HZ = (8_000, 16_000, 48_000)
SERVICES = ("vad", "asr", "llm", "tts", "telephony")
PARTS = ("vad", "asr", "llm", "tts", "telephony", "agent", "vad stream", "database")


class Orchestrator:
    """Everything one process holds. `run` lasts until `stop` is called."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._channels = {
            name: open_channel(getattr(settings, name).address(), settings.rpc, clock=clock) for name in SERVICES
        }
        orchestrator = settings.orchestrator
        self._agents = Agents(settings, clock, self._voice)
        own = self._agents.own
        self._services = Services(
            vad=VadClient(self._channels["vad"], clock),
            asr=self._channels["asr"],
            llm=LlmClient(self._channels["llm"], clock, orchestrator.llm_first_token_deadline_ms),
            tts=own.tts,
            phrases=own.phrases,
            ticker=Ticker(clock),
        )
        self._name = worker_name(orchestrator.worker)
        self._line = TelephonyLine(
            self._channels["telephony"], clock, self._on_incoming, self._presence, self._farewells
        )
        self._calls: StoredCalls | None = None
        # The door to back ends, for agents that are bundles; open as long as the database is.
        self.control: ControlWorker | None = None
        self._audit = AuditDoor()
        self._services.ticker.add(self._line, self._line.flush)
        self._admission = Admission(orchestrator.admission, orchestrator.workers, self._channels, clock)
        self.registry = CallRegistry(
            clock, orchestrator.max_calls, self._new_call, orchestrator.worker, self._admission
        )
        self._readiness = Readiness(self.registry, PARTS)
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()

    def stop(self) -> None:
        """Drain and return from `run`: calls in progress have `rpc.drain_s`."""
        self._stopping.set()
        self._hurry.set()

    def retire(self) -> None:
        """Drain and return from `run` when the last call has ended by itself; `stop` shortens that."""
        self._stopping.set()

    async def run(self) -> None:
        """Serve until `stop`. Raises TrunklineError when the process cannot start."""
        settings, clock = self._settings, self._clock
        warm_audio()
        token = load_operator_token(settings.data_dir)
        about = About(settings, self._channels)
        web = await self._start_web(create_app(self.registry, settings, about, clock, token, self._audit))
        log.info("web ready", address=web.url)
        store: Store | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                background = tasks.create_task(self._background())
                store = await self._open_store()
                if store is not None:
                    self._calls = StoredCalls(store, clock)
                    following = tasks.create_task(self._follow(store))
                    self._audit.open(store.audit.log)
                    recovering = self._open_control(store, tasks)
                    calls = store.calls
                    watching = tasks.create_task(
                        watch_probe("database", lambda: calls.get_call(""), self._readiness, clock)
                    )
                    await self._stopping.wait()
                    log.info("orchestrator draining", calls=len(self.registry.live()), at_once=self._hurry.is_set())
                    await self._drain()
                    await self._calls.drain()
                    watching.cancel()
                    following.cancel()
                    if recovering is not None:
                        recovering.cancel()
                background.cancel()
        finally:
            if self.control is not None:
                await self.control.close()
            await web.stop()
            if store is not None:
                await store.close()
            for channel in self._channels.values():
                await channel.close()
        log.info("orchestrator stopped")

    def _open_control(self, store: Store, tasks: asyncio.TaskGroup) -> "asyncio.Task[None] | None":
        """Only an agent with tools acts; what its calls left open is settled by a loop of every worker."""
        if not self._agents.from_bundle:
            return None
        log_ = store.audit.log
        self.control = open_control(self._settings, store.pool, log_, self._clock, log_.pending_row)
        return tasks.create_task(self.control.recovery.run(self._clock, self._settings.control.recover_every_s))

    async def _start_web(self, app: Application) -> RunningWeb:
        worker = self._settings.orchestrator.worker
        if not worker:
            return await start_web(app, self._settings.web)
        path = socket_path(self._settings, worker)
        prepare_socket(path)
        return await start_web_on(app, path)

    async def _drain(self) -> None:
        """No new calls from now on; those in progress end by themselves, or by the deadline of a stop."""
        self.registry.refuse_all()
        hurry = asyncio.ensure_future(self._hurry.wait())
        empty = asyncio.ensure_future(self.registry.empty())
        await asyncio.wait({hurry, empty}, return_when=asyncio.FIRST_COMPLETED)
        for task in (hurry, empty):
            task.cancel()
        await self.registry.drain(self._settings.rpc.drain_s)

    def _presence(self) -> Presence:
        return Presence(self._name, self.registry.capacity, self.registry.refusing)

    def _farewells(self) -> dict[int, bytes]:
        """What callers on the telephone hear should this process die."""
        return self._services.phrases.pcm(self._settings.agent.apology_goodbye, TELEPHONE_HZ)

    async def _open_store(self) -> Store | None:
        """The database, unless we are stopped while it starts."""
        opening = asyncio.ensure_future(open_store(self._settings, self._clock))
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not opening.done():
            opening.cancel()
            await asyncio.wait({opening})
            return None
        return await opening

    async def _background(self) -> None:
        services, clock = self._services, self._clock
        async with asyncio.TaskGroup() as tasks:
            spawn_all(
                tasks,
                services.vad.run(),
                services.ticker.run(),
                self._line.run(),
                self._admission.run(lambda: len(self.registry.live())),
                self._agents.load(),
                self._watch_agent(),
                watch_flag("vad stream", lambda: services.vad.up, self._readiness, clock),
                watch_flag("telephony", lambda: self._line.up, self._readiness, clock),
                *(
                    watch_health(name, self._channels[name], self._readiness, clock)
                    for name in ("vad", "asr", "llm", "tts")
                ),
            )

    async def _follow(self, store: Store) -> None:
        """Released bundles, and what their calls act with."""
        if self.control is None:
            return
        office = Office(
            self.control,
            DialogueStore(store.pool),
            CallbackStore(store.pool, store.audit.log.pending_row),
            self._services.llm,
            EmbedClient(self._channels["llm"]),
            self._clock,
        )
        await self._agents.follow(store.bundles, office.business)

    async def _watch_agent(self) -> None:
        await until_ready(self._agents, self._clock)
        calm_collector()
        self._readiness.set("agent", True)

    def _voice(self, agent: AgentSettings) -> TtsClient:
        """How an agent speaks."""
        deadline_ms = self._settings.orchestrator.tts_first_audio_deadline_ms
        return TtsClient(self._channels["tts"], self._clock, Voice(agent.voice, agent.locale, agent.say), deadline_ms)

    def _new_call(self, handle: CallHandle, leg: Leg) -> Call:
        assert self._calls is not None  # the registry is not ready before the database is
        agent = self._agents.choose(handle.call_id)
        handle.agent_digest, handle.locale = agent.digest, agent.settings.locale
        services = replace(self._services, tts=agent.tts, phrases=agent.phrases, business=agent.business)
        settings = self._settings.model_copy(update={"agent": agent.settings})
        return Call(handle, leg, services, settings, self._clock, self._calls)

    def _on_incoming(self, leg: TelephonyLeg) -> None:
        try:
            self.registry.start(leg)
        except TrunklineError as error:
            log.warning("call refused", transport="sip", error=type(error).__name__, reason=error.message)
            leg.reject(SIP_UNAVAILABLE, self._settings.orchestrator.admission.retry_after_s)


async def serve(settings: Settings, clock: Clock) -> None:
    """The life of the process: until SIGTERM or SIGINT, then drain; SIGUSR1: drain for as long as the calls last."""
    orchestrator = Orchestrator(settings, clock)
    loop = asyncio.get_running_loop()
    for sig in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sig, orchestrator.stop)
    loop.add_signal_handler(signal.SIGUSR1, orchestrator.retire)
    await orchestrator.run()
