"""Measure a browser leg alone: CPU and memory per call, packet gaps, and the way of audio in and out of the process.

    python -m benchmarks.webrtc --calls 10 --seconds 10 [--out FILE.json]

The server is a process of its own: the real HTTP API and legs, and calls that answer a burst of sound with a burst.
Callers are `services.cli.webrtc_caller` in this process. Figures, burst by burst:
  in     packet with the burst handed to the caller's transport → `on_audio` in the server
  out    burst given to `play` → its packet leaves (the wait for the next packet slot, 0-20 ms, is in it)
  echo   packet sent → packet of the answering burst received, at the caller
"""

import argparse
import asyncio
import itertools
import json
import os
import platform
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from services.cli.webrtc_caller import WebRtcCaller, WebRtcDialer
from services.common.clock import SystemClock
from services.common.log import configure_logging
from services.common.settings import LogSettings, WebSettings, load_settings
from services.orchestrator.calls import CallHandle, CallRegistry
from services.orchestrator.media.leg import FRAME_MS, Leg, LegFormat, Playout
from services.orchestrator.web.app import create_app
from services.orchestrator.web.server import start_web

LOUD = 3000
BURST_MS = 60
TX_FRAME = 24_000 * FRAME_MS // 1000


def sound(ms: int, rate_hz: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Harmonics with noise: costs the encoder what a voice costs."""
    t = np.arange(ms * rate_hz // 1000) / rate_hz
    wave = sum(np.sin(2 * np.pi * 140 * k * t) / k for k in range(1, 20))
    noise = 0.1 * np.random.default_rng(seed).standard_normal(len(t))
    return np.asarray(np.clip((wave / 2 + noise) * 9000, -32768, 32767), dtype=np.int16)


class AnsweringCall:
    """A stand-in for a call: plays without end while `talking`, else answers each burst with one."""

    talking = True
    in_ns: list[int] = []  # noqa: RUF012 shared by all calls of the process on purpose
    out_ms: list[float] = []  # noqa: RUF012

    def __init__(self, leg: Leg) -> None:
        self._leg = leg
        self._gone = asyncio.Event()
        self._frame = sound(FRAME_MS, 24_000).tobytes()
        self._loud = False
        self._sent = 0
        self._put_ns = 0

    async def run(self) -> None:
        self._leg.bind(self)
        await self._gone.wait()

    def hangup(self, reason: str) -> None:
        self._leg.hangup()

    def on_audio(self, pcm: bytes, received_ns: int) -> None:
        loud = int(np.abs(np.frombuffer(pcm, dtype="<i2")).max(initial=0)) > LOUD
        if self.talking:
            self._leg.play(self._frame)
        elif loud and not self._loud:
            AnsweringCall.in_ns.append(received_ns)
            self._put_ns = SystemClock().now_ns()
            for _ in range(BURST_MS // FRAME_MS):
                self._leg.play(self._frame)
        self._loud = loud

    def on_playout(self, playout: Playout, at_ns: int) -> None:
        if self._put_ns and playout.sent > self._sent:
            AnsweringCall.out_ms.append((at_ns - self._put_ns) / 1e6)
            self._put_ns = 0
        self._sent = playout.sent

    def on_established(self, fmt: LegFormat) -> None: ...

    def on_dtmf(self, digit: object, duration_ms: int) -> None: ...

    def on_hold(self, held: bool) -> None: ...

    def on_ended(self, cause: str, detail: str) -> None:
        self._gone.set()


async def serve() -> None:
    """The server's process: prints its port, then on SIGTERM what it measured. SIGUSR1 ends the talking."""
    configure_logging(LogSettings(level="error"), "webrtc benchmark")
    clock = SystemClock()
    settings = load_settings(env={}, overrides={"orchestrator": {"webrtc": {"max_calls": 500, "offers_burst": 500}}})

    def create(_handle: CallHandle, leg: Leg) -> AnsweringCall:
        return AnsweringCall(leg)

    async def about() -> dict[str, Any]:
        return {}

    registry = CallRegistry(clock, 500, create)
    web = await start_web(create_app(registry, settings, about, clock, "x" * 40), WebSettings(port=0))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGUSR1, lambda: setattr(AnsweringCall, "talking", False))
    print(web.port, flush=True)
    await stop.wait()
    await web.stop()
    print(json.dumps({"in_ns": AnsweringCall.in_ns, "out_ms": AnsweringCall.out_ms}), flush=True)


def figures(values_ms: Sequence[float]) -> dict[str, float]:
    """n, P50, P95, P99, ms."""
    if not values_ms:
        return {"n": 0}
    cuts = np.percentile(values_ms, [50, 95, 99])
    names = ("p50_ms", "p95_ms", "p99_ms")
    return {"n": len(values_ms), **{name: round(float(cut), 2) for name, cut in zip(names, cuts, strict=True)}}


def cpu_s(process: psutil.Process) -> float:
    """CPU seconds of a process so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


async def talk(legs: Sequence[WebRtcCaller], server: psutil.Process, seconds: float) -> dict[str, Any]:
    """Both directions at once: the server's CPU, memory and the rhythm of its packets."""
    for leg in legs:
        leg.play(sound(int(seconds * 1000) + 500, 16_000))
    await asyncio.sleep(0.5)
    starts = [len(leg.heard.chunks) for leg in legs]
    began, busy, own = SystemClock().now_ns(), cpu_s(server), cpu_s(psutil.Process())
    await asyncio.sleep(seconds)
    took_s = (SystemClock().now_ns() - began) / 1e9
    cores, caller_cores = (cpu_s(server) - busy) / took_s, (cpu_s(psutil.Process()) - own) / took_s
    gaps = []
    for leg, start in zip(legs, starts, strict=True):
        times = [chunk.at_ns for chunk in leg.heard.chunks[start:]]
        gaps += [(b - a) / 1e6 for a, b in itertools.pairwise(times)]
    return {
        "cores": round(cores, 4),
        # Near 1.0 the callers' process is the bottleneck, and the times below say nothing about the leg.
        "caller_cores": round(caller_cores, 4),
        "core_percent_per_call": round(100 * cores / len(legs), 2),
        "rss_mb": round(server.memory_info().rss / 1e6, 1),
        "packet_gap": figures(gaps),
        "lost_packets": sum(leg.lost_packets for leg in legs),
    }


async def drained(legs: Sequence[WebRtcCaller]) -> None:
    """Until every caller has said all it had, and half a second more."""
    for leg in legs:
        while leg.playing:
            await leg.progress()
    await asyncio.sleep(0.5)


async def bursts(leg: WebRtcCaller, count: int, offset_s: float) -> tuple[list[int], list[float]]:
    """Times of the bursts sent, and how long each answer took."""
    await asyncio.sleep(offset_s)
    sent, echo = [], []
    for n in range(count):
        heard = leg.heard.samples
        start = leg.play(sound(BURST_MS, 16_000, n))
        await asyncio.sleep(0.35 + 0.013 * (n % 7))
        sent.append(leg.sent.time_ns(start))
        for chunk in leg.heard.chunks:
            if chunk.start >= heard and np.abs(chunk.pcm).max(initial=0) > LOUD:
                echo.append((chunk.at_ns - sent[-1]) / 1e6)
                break
    return sent, echo


async def run(calls: int, seconds: float) -> dict[str, Any]:
    """One server, `calls` calls."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.webrtc", "--serve", stdout=asyncio.subprocess.PIPE
    )
    try:
        return await measure(process, calls, seconds)
    finally:
        if process.returncode is None:
            process.kill()


async def measure(process: asyncio.subprocess.Process, calls: int, seconds: float) -> dict[str, Any]:
    """All figures of one run."""
    assert process.stdout is not None
    port = int(await process.stdout.readline())
    server = psutil.Process(process.pid)
    idle_mb = server.memory_info().rss / 1e6
    dialer = WebRtcDialer(SystemClock())
    legs = [await dialer.dial(f"http://127.0.0.1:{port}") for _ in range(calls)]
    talking = await talk(legs, server, seconds)
    process.send_signal(signal.SIGUSR1)
    await drained(legs)
    count = max(5, int(seconds * 2))
    results = await asyncio.gather(*(bursts(leg, count, 0.4 * n / calls) for n, leg in enumerate(legs)))
    await dialer.close()
    process.send_signal(signal.SIGTERM)
    measured = json.loads(await process.stdout.readline())
    await process.wait()
    sent = np.array(sorted(at for times, _ in results for at in times))
    arrived = np.array(sorted(measured["in_ns"]))
    # Each arrival belongs to the last burst sent before it (the bursts of different calls do not coincide).
    before = np.searchsorted(sent, arrived) - 1
    inbound = [float(arrived[i] - sent[at]) / 1e6 for i, at in enumerate(before) if at >= 0]
    return {
        "what": "webrtc leg",
        "calls": calls,
        "seconds": seconds,
        "talking": talking,
        "rss_mb_per_call": round((talking["rss_mb"] - idle_mb) / calls, 2),
        "in": figures(inbound),
        "out": figures(measured["out_ms"]),
        "echo": figures([value for _, echo in results for value in echo]),
        "machine": {"cpus": os.cpu_count(), "system": platform.platform(), "load": os.getloadavg()},
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve())
        return
    result = json.dumps(asyncio.run(run(arguments.calls, arguments.seconds)), indent=2)
    print(result)
    if arguments.out:
        arguments.out.write_text(result + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
