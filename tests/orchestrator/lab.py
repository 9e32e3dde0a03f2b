"""A call on the bench: the four model services with their scripted engines over real gRPC, and a fake leg.

Only the leg and the store are fakes. Time is the machine's; tests wait for events, never for a while.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from services.asr.server import build as build_asr
from services.common.clock import SystemClock
from services.common.errors import UnavailableError
from services.common.personal import Personal
from services.common.rpc_client import open_channel
from services.common.rpc_server import GrpcService, RunningServer, serve
from services.common.settings import Settings, load_settings
from services.llm.engine import Engine, GenerationRequest, Message, Warmed
from services.llm.scripted import ScriptedEngine
from services.llm.server import build as build_llm
from services.orchestrator.call import Call, CallStore, NoStore
from services.orchestrator.call_context import Services
from services.orchestrator.calls import CallHandle, CallRegistry
from services.orchestrator.clients.llm import LlmClient
from services.orchestrator.clients.tts import TtsClient, Voice
from services.orchestrator.clients.vad import VadClient
from services.orchestrator.events import Event
from services.orchestrator.media.leg import Leg, LegFormat, LegInfo, LegSink, Playout
from services.orchestrator.media.ticker import Ticker
from services.orchestrator.phrases import Phrasebook
from services.orchestrator.turns.decisions import Decision
from services.tts.server import build as build_tts
from services.vad.server import build as build_vad

RATE = 8_000
FRAME = RATE // 50
WAIT_S = 15.0


def tone(ms: int) -> bytes:
    """Loud enough for the scripted VAD."""
    t = np.arange(RATE * ms // 1000) / RATE
    return (np.sin(2 * np.pi * 220 * t) * 12_000).astype("<i2").tobytes()


class FakeLeg:
    """A named fake: sends what `speak` was given in 20 ms frames, takes frames as a worker does, counts what left."""

    def __init__(self, reference: str = "ref", transport: Any = "sip") -> None:
        self._info = LegInfo("1", transport, Personal("sip:a@b", "uri"), Personal("sip:c@d", "uri"), reference)
        self.sink: LegSink | None = None
        self.clock = SystemClock()
        self.queue: deque[bytes] = deque()
        self.sent: list[tuple[int, bytes]] = []
        self.refused = 0
        self.most_queued = 0
        self.commands: list[str] = []
        self.ended = False
        self.silent = False
        self._speech: deque[bytes] = deque()
        self._task: asyncio.Task[None] | None = None

    @property
    def info(self) -> LegInfo:
        return self._info

    def bind(self, sink: LegSink) -> None:
        self.sink = sink

    def answer(self) -> None:
        self.commands.append("answer")
        self._task = asyncio.create_task(self._run())

    def reject(self, sip_status: int, retry_after_s: float = 0) -> None:
        self.commands.append(f"reject {sip_status}")

    def play(self, frame: bytes) -> None:
        if len(self.queue) >= 3 or len(frame) != 2 * FRAME:
            self.refused += 1
            return
        self.queue.append(frame)
        self.most_queued = max(self.most_queued, len(self.queue))

    def clear(self) -> None:
        self.commands.append("clear")
        self.queue.clear()
        asyncio.get_running_loop().call_soon(self._report)

    def hangup(self) -> None:
        self.commands.append("hangup")
        self._end("local_hangup")

    def bye(self) -> None:
        """The caller hangs up."""
        self._end("remote_bye")

    def speak(self, ms: int) -> None:
        """The caller says something that lasts so long."""
        pcm = tone(ms)
        self._speech.extend(pcm[i : i + 2 * FRAME] for i in range(0, len(pcm), 2 * FRAME))

    def send_dtmf(self, digits: Personal[str]) -> None: ...

    def hold(self, on: bool) -> None: ...

    def transfer(self, target: Personal[str], consult: "Leg | None" = None) -> None: ...

    def _end(self, cause: str) -> None:
        if not self.ended:
            self.ended = True
            if self._task is not None:
                self._task.cancel()
            if self.sink is not None:
                self.sink.on_ended(cause, "")

    def _report(self) -> None:
        assert self.sink is not None
        playout = Playout(len(self.sent) * FRAME, len(self.queue) * FRAME, 0)
        self.sink.on_playout(playout, self.clock.now_ns())

    async def _run(self) -> None:
        assert self.sink is not None
        self.sink.on_established(LegFormat("pcmu", RATE, RATE))
        due_ns = self.clock.now_ns()
        while True:
            due_ns += 20_000_000
            await self.clock.sleep_until_ns(due_ns)
            pcm = self._speech.popleft() if self._speech else bytes(2 * FRAME)
            if not self.silent:
                self.sink.on_audio(pcm, self.clock.now_ns())
            if self.queue:
                self.sent.append((self.clock.now_ns(), self.queue.popleft()))
            self._report()


class RecordingLlm(ScriptedEngine):
    """The scripted engine; remembers the prompts it was given."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.scripted, SystemClock())
        self.prompts: list[list[str]] = []
        # Last message of each prefix it was given to read ahead.
        self.read: list[str] = []

    async def warm(self, request_id: str, messages: Sequence[Message], cache_salt: str) -> Warmed:
        self.read.append(messages[-1].content)
        return await super().warm(request_id, messages, cache_salt)

    def generate(self, request: GenerationRequest) -> Any:
        self.prompts.append([f"{message.role.name.lower()}: {message.content}" for message in request.messages])
        return super().generate(request)


class BrokenStore:
    """A database that is away."""

    async def begin(self, handle: CallHandle) -> None:
        raise UnavailableError("The database is away.")


class Lab:
    """Starts and stops services by name; `settings` may be overridden."""

    def __init__(self, reply_words: int = 4, asr_final_ms: int = 20, llm_ttft_ms: int = 30, **overrides: Any) -> None:
        scripted: dict[str, dict[str, Any]] = {name: {"engine": "scripted"} for name in ("vad", "asr", "llm", "tts")}
        # Four words of the scripted reply: a second of speech is enough for most tests.
        scripted["llm"] |= {"max_tokens": reply_words, "slots": 64}
        latencies = {
            "asr_final_ms": asr_final_ms,
            "llm_ttft_ms": llm_ttft_ms,
            "tts_ttfa_ms": 10,
            "llm_tokens_per_s": 500,
        }
        tree = {**scripted, "scripted": latencies, **overrides}
        self.settings = load_settings(env={}, overrides=tree)
        self.clock = SystemClock()
        self.llm = RecordingLlm(self.settings)
        self.ports: dict[str, int] = {}
        self.running: dict[str, RunningServer] = {}
        self.channels: dict[str, Any] = {}
        self.services: Services
        self.registry: CallRegistry
        self.store: CallStore = NoStore()
        self.calls: list[Call] = []
        self._background: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Lab":
        for name in ("vad", "asr", "llm", "tts"):
            await self.start(name)
            self.channels[name] = open_channel(f"127.0.0.1:{self.ports[name]}", self.settings.rpc)
        orchestrator, agent = self.settings.orchestrator, self.settings.agent
        voice = Voice(agent.voice, agent.locale)
        tts = TtsClient(self.channels["tts"], self.clock, voice, orchestrator.tts_first_audio_deadline_ms)
        self.services = Services(
            vad=VadClient(self.channels["vad"], self.clock),
            asr=self.channels["asr"],
            llm=LlmClient(self.channels["llm"], self.clock, orchestrator.llm_first_token_deadline_ms),
            tts=tts,
            phrases=Phrasebook(tts, agent, self.clock),
            ticker=Ticker(self.clock),
        )
        self.registry = CallRegistry(self.clock, orchestrator.max_calls, self._create)
        self._background = [
            asyncio.create_task(self.services.vad.run()),
            asyncio.create_task(self.services.ticker.run()),
        ]
        await self.services.phrases.load()
        await self.until(lambda: self.services.vad.up)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.registry.drain(0)
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        for name in list(self.running):
            await self.kill(name)
        for channel in self.channels.values():
            await channel.close()

    def _create(self, handle: CallHandle, leg: Leg) -> Call:
        self.calls.append(Call(handle, leg, self.services, self.settings, self.clock, self.store))
        return self.calls[-1]

    async def start(self, name: str) -> None:
        """Start a service, on the port it had before if it was killed."""
        self.running[name] = await serve(
            self._build(name), self.settings.rpc, self.clock, host="127.0.0.1", port=self.ports.get(name, 0)
        )
        self.ports[name] = self.running[name].port

    async def kill(self, name: str) -> None:
        """The service is gone, its RPCs broken."""
        await self.running.pop(name).stop(0)

    def _build(self, name: str) -> GrpcService:
        if name == "llm":
            engine: Engine = self.llm
            return build_llm(self.settings, self.clock, engine)
        builders: dict[str, Callable[..., GrpcService]] = {"vad": build_vad, "asr": build_asr, "tts": build_tts}
        return builders[name](self.settings, self.clock)

    def call(self, leg: FakeLeg | None = None) -> "CallOnBench":
        """Ring, and be answered."""
        leg = leg or FakeLeg()
        handle = self.registry.start(leg)
        return CallOnBench(self, leg, handle, self.calls[-1])

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition; looked at every 5 ms, with a deadline."""
        async with asyncio.timeout(WAIT_S):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.005)


class CallOnBench:
    """One call with what it logged."""

    def __init__(self, lab: Lab, leg: FakeLeg, handle: CallHandle, call: Call) -> None:
        self.lab = lab
        self.leg = leg
        self.handle = handle
        self.call = call

    def decide(self, decision: Decision) -> None:
        """As if the turn-taker had decided so."""
        self.call.conductor.carry_out(decision)

    def events(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.handle.events.snapshot() if isinstance(event, kind)]

    async def until(self, kind: type[Event], count: int = 1, /, **fields: Any) -> Any:
        """The `count`-th event of a kind with these fields."""

        def found() -> list[Any]:
            return [e for e in self.events(kind) if all(getattr(e, name) == value for name, value in fields.items())]

        try:
            await self.lab.until(lambda: len(found()) >= count)
        except TimeoutError:
            names = [type(event).__name__ for event in self.handle.events.snapshot()]
            raise AssertionError(f"no {kind.__name__} {fields} among {names}") from None
        return found()[count - 1]
