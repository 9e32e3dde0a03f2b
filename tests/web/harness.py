"""A web server on a free port over the real registry, with calls whose brain is a fake that the test drives."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import numpy as np
from numpy.typing import NDArray

from services.common.clock import Clock, SystemClock
from services.common.errors import UnavailableError
from services.common.personal import Personal
from services.common.settings import Settings, WebSettings, load_settings
from services.orchestrator.calls import CallHandle, CallRegistry
from services.orchestrator.events import CallAnswered, CallEnded, CallStarted, DtmfReceived
from services.orchestrator.media.leg import FRAME_MS, Leg, LegFormat, Playout
from services.orchestrator.web.app import create_app
from services.orchestrator.web.server import RunningWeb, start_web
from services.records.entry import AuditEntry

OPERATOR = "operator-token-for-tests-0123456789abcdef"
DEADLINE_S = 15.0


class FakeCall:
    """A call without models: keeps what its leg reports; the test says what it plays."""

    def __init__(self, handle: CallHandle, leg: Leg, clock: Clock) -> None:
        self.handle = handle
        self.leg = leg
        self.heard = bytearray()
        self.arrivals: list[int] = []
        self.playouts: list[tuple[Playout, int]] = []
        self.established = asyncio.Event()
        self.gone = asyncio.Event()
        self.ended = ("", "")
        self._clock = clock

    async def run(self) -> None:
        info = self.leg.info
        self.handle.events.append(
            CallStarted(
                at_ns=self._clock.now_ns(),
                transport=info.transport,
                caller=info.caller,
                callee=info.callee,
                peer_reference=info.peer_reference,
            )
        )
        self.leg.bind(self)
        self.leg.answer()
        await self.gone.wait()
        cause, detail = self.ended
        self.handle.events.append(CallEnded(at_ns=self._clock.now_ns(), cause=cause, detail=detail))

    def hangup(self, reason: str) -> None:
        self.leg.hangup()

    def on_audio(self, pcm: bytes, received_ns: int) -> None:
        self.heard += pcm
        self.arrivals.append(received_ns)

    def on_playout(self, playout: Playout, at_ns: int) -> None:
        self.playouts.append((playout, at_ns))

    def on_established(self, fmt: LegFormat) -> None:
        self.handle.events.append(
            CallAnswered(
                at_ns=self._clock.now_ns(),
                codec=fmt.codec,
                rx_rate_hz=fmt.rx_rate_hz,
                tx_rate_hz=fmt.tx_rate_hz,
            )
        )
        self.established.set()

    def on_dtmf(self, digit: Personal[str], duration_ms: int) -> None:
        self.handle.events.append(DtmfReceived(at_ns=self._clock.now_ns(), digit=digit, duration_ms=duration_ms))

    def on_hold(self, held: bool) -> None:
        raise AssertionError("a browser never holds")

    def on_ended(self, cause: str, detail: str) -> None:
        assert not self.gone.is_set(), "on_ended came twice"
        self.ended = (cause, detail)
        self.gone.set()

    def last_playout(self) -> Playout:
        return self.playouts[-1][0] if self.playouts else Playout(0, 0, 0)

    async def play(self, pcm: NDArray[np.int16], rate_hz: int = 24_000) -> None:
        """Feed `pcm` as the ticker would: never more than 60 ms committed."""
        size = rate_hz * FRAME_MS // 1000
        start = self.last_playout().sent
        for at in range(0, len(pcm) - size + 1, size):
            put = start + at
            await until(lambda put=put: put - self.last_playout().sent < 3 * size or self.gone.is_set())
            if self.gone.is_set():
                return
            self.leg.play(pcm[at : at + size].astype("<i2").tobytes())


class Ledger:
    """An audit log in memory; `away` refuses as the real one does without its database."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []
        self.away = False

    async def append(self, entry: AuditEntry) -> int:
        if self.away:
            raise UnavailableError("The audit log did not take an entry.")
        self.entries.append(entry)
        return len(self.entries) - 1


@dataclass
class Site:
    """A running web server and what the test looks at."""

    web: RunningWeb
    registry: CallRegistry
    http: aiohttp.ClientSession
    audit: Ledger
    calls: list[FakeCall] = field(default_factory=list)
    loop_errors: list[dict[str, Any]] = field(default_factory=list)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.web.port}"

    @property
    def operator(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {OPERATOR}"}


async def about() -> dict[str, Any]:
    return {
        "profile": "cpu",
        "version": "0.1.0",
        "commit": "test",
        "services": {
            "asr": {"engine": "scripted", "models": [{"name": "none"}], "device": "cpu", "details": {"path": "secret"}},
            "telephony": {"engine": "baresip"},
        },
        "settings": {},
    }


@contextlib.asynccontextmanager
async def site(clock: Clock | None = None, max_calls: int = 10, **webrtc: Any) -> AsyncIterator[Site]:
    """Fails when anything was left over: a peer connection, a task's unseen exception."""
    clock = clock or SystemClock()
    settings = make_settings(**webrtc)
    calls: list[FakeCall] = []

    def create(handle: CallHandle, leg: Leg) -> FakeCall:
        calls.append(FakeCall(handle, leg, clock))
        return calls[-1]

    registry = CallRegistry(clock, max_calls, create)
    audit = Ledger()
    app = create_app(registry, settings, about, clock, OPERATOR, audit)
    web = await start_web(app, WebSettings(host="127.0.0.1", port=0))
    errors: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: errors.append(context))
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=DEADLINE_S)) as http:
        running = Site(web, registry, http, audit, calls, errors)
        try:
            yield running
        finally:
            await web.stop()
            await registry.drain(1.0)
    # Exceptions of tasks that nobody awaited show when the tasks are collected.
    gc.collect()
    await asyncio.sleep(0)
    assert not errors, errors


def make_settings(**webrtc: Any) -> Settings:
    return load_settings(env={}, overrides={"orchestrator": {"webrtc": webrtc}})


async def until(condition: Any, deadline_s: float = DEADLINE_S) -> None:
    """Wait for a condition of a real peer; the deadline is the failure."""
    async with asyncio.timeout(deadline_s):
        while not condition():  # noqa: ASYNC110 a real peer offers no event to wait on
            await asyncio.sleep(0.005)


def tone(ms: float, rate_hz: int, hz: float = 440.0, level: float = 0.4) -> NDArray[np.int16]:
    t = np.arange(int(ms * rate_hz / 1000)) / rate_hz
    return (level * 32767 * np.sin(2 * np.pi * hz * t)).astype(np.int16)


def power_at(pcm: NDArray[np.int16], rate_hz: int, hz: float) -> float:
    """Share of the signal's energy within 20 Hz of `hz`."""
    spectrum = np.abs(np.fft.rfft(pcm * np.hanning(len(pcm)))) ** 2
    frequencies = np.fft.rfftfreq(len(pcm), 1 / rate_hz)
    return float(spectrum[np.abs(frequencies - hz) < 20].sum() / max(spectrum.sum(), 1e-9))
