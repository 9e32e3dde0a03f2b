"""What speech costs on this machine.

    python -m benchmarks.tts [--threads N] [--workers N] [--repeat N] [--json FILE]

Over a real channel: text sent → first audio message, for first clauses of several lengths, made and from the phrase
cache; the same with several streams beginning at once; and the real-time factor of a long text. In the engine: how long
after `cancel` a running computation ends, and CPU time until the first window and until the whole text is there (when
an engine that knows sentences only would begin). Nothing comes from the cache unless the row says so: every repetition
has a pace of its own.
"""

import argparse
import asyncio
import json
import os
import platform
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from services.common.clock import SystemClock
from services.common.models import ModelStore
from services.common.rpc_client import open_channel
from services.common.rpc_server import serve
from services.common.settings import Settings, load_settings
from services.pb.trunkline.tts.v1 import tts_pb2, tts_pb2_grpc
from services.tts.server import build
from services.tts.spoken import spoken_words
from services.tts.voice import CancelledClauseError, Voice

CLOCK = SystemClock()
RATE_HZ = 16_000
# One clause each: no boundary before the end.
TEXTS = {
    "1 word": "Okay.",
    "12 characters": "Good morning.",
    "25 characters": "Let me check that for you.",
    "50 characters": "Your appointment has been moved to Friday morning.",
    "2 clauses, 66 characters": "I have found your order, and it should arrive on Thursday morning.",
}
LONG = (
    "Thank you for waiting. I have found your order, and it left our warehouse this morning. It should arrive on "
    "Thursday before noon, unless the weather delays the trucks again. Is there anything else I can do for you?"
)

Row = dict[str, Any]


def main() -> None:
    """Measure, print a table, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=25)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    changes = {"threads": args.threads, "workers": args.workers}
    settings = load_settings(overrides={"tts": changes, "agent": {"locale": "en-US", "greeting": "Hello."}})
    rows = asyncio.run(service_rows(settings, args.repeat))
    rows += cancel_rows(settings, args.repeat)
    rows += engine_rows(settings, args.repeat)
    for row in rows:
        print(f"{row['what']:<58} n={row['n']:<4} P50 {row['p50']:8.2f}   P95 {row['p95']:8.2f} {row['unit']}")
    if args.json:
        facts = {"machine": platform.processor() or platform.machine(), "cpus": os.cpu_count(), **changes}
        args.json.write_text(json.dumps({**facts, "load": os.getloadavg(), "rows": rows}, indent=1), encoding="utf-8")


def row(what: str, values: Iterable[float], unit: str = "ms") -> Row:
    """n, P50 and P95 of `values`."""
    found = list(values)
    p50, p95 = np.percentile(found, (50, 95))
    return {"what": what, "n": len(found), "p50": round(float(p50), 3), "p95": round(float(p95), 3), "unit": unit}


async def service_rows(settings: Settings, repeat: int) -> list[Row]:
    """Everything measured over the wire."""
    server = await serve(build(settings, CLOCK), settings.rpc, CLOCK, host="127.0.0.1", port=0)
    channel = open_channel(f"127.0.0.1:{server.port}", settings.rpc)
    stub = tts_pb2_grpc.TtsServiceStub(channel)
    rows = []
    try:
        for name, text in TEXTS.items():
            rows.append(row(f"first audio, {name}", [(await say(stub, text, i)).first_ms for i in range(repeat)]))
        await say(stub, LONG, 999)
        cached = [(await say(stub, LONG, 999)).first_ms for _ in range(repeat)]
        rows.append(row("first audio, from the phrase cache", cached))
        for streams in (4, 8):
            waits: list[float] = []
            for turn in range(max(2, repeat // streams)):
                text, paces = TEXTS["25 characters"], range(turn * streams, (turn + 1) * streams)
                waits += [s.first_ms for s in await asyncio.gather(*(say(stub, text, streams * 50 + i) for i in paces))]
            rows.append(row(f"first audio, {streams} streams beginning at once", waits))
        rows += await long_rows(stub, max(5, repeat // 2))
    finally:
        await channel.close()
        await server.stop()
    return rows


async def long_rows(stub: Any, repeat: int) -> list[Row]:
    """Wall and CPU time of a long text by the duration of its audio (client and server are one process here)."""
    walls, cpus = [], []
    for i in range(repeat):
        cpu = time.process_time()
        said = await say(stub, LONG, 600 + i)
        walls.append(said.total_ms / 1000 / said.audio_s)
        cpus.append((time.process_time() - cpu) / said.audio_s)
    return [row("real-time factor, wall", walls, "x"), row("real-time factor, CPU", cpus, "x")]


class Said:
    """What one utterance took."""

    def __init__(self) -> None:
        self.first_ms = 0.0
        self.total_ms = 0.0
        self.audio_s = 0.0


async def say(stub: Any, text: str, pace: int) -> Said:
    """One utterance; each `pace` is a hair slower than the last and so a phrase of its own."""
    said, call = Said(), stub.Synthesize(timeout=120)
    config = tts_pb2.SynthesizeConfig(sample_rate_hz=RATE_HZ, speaking_rate=1.0 - pace * 0.0005 if pace != 999 else 0.0)
    await call.write(tts_pb2.SynthesizeRequest(config=config))
    start_ns = CLOCK.now_ns()
    await call.write(tts_pb2.SynthesizeRequest(text=text))
    await call.write(tts_pb2.SynthesizeRequest(end=tts_pb2.End()))
    async for response in call:
        kind = response.WhichOneof("payload")
        if kind == "audio":
            said.first_ms = said.first_ms or (CLOCK.now_ns() - start_ns) / 1e6
            said.audio_s += len(response.audio.pcm) / 2 / RATE_HZ
    said.total_ms = (CLOCK.now_ns() - start_ns) / 1e6
    return said


def model_path(settings: Settings) -> Path:
    """The first voice's .onnx file."""
    store, name = ModelStore(settings.models), settings.tts.voices[0]
    return store.path(name) / next(f.name for f in store.entry(name).files if f.name.endswith(".onnx"))


def cancel_rows(settings: Settings, repeat: int) -> list[Row]:
    """`cancel` → the computing thread is free, at times spread over the computation of a long clause."""
    voice = Voice(model_path(settings), threads=settings.tts.threads, cuda=False)
    words = spoken_words(LONG)
    took = [cancel_once(voice, words, 0.005 + 0.4 * i / repeat) for i in range(repeat)]
    return [row("cancel → thread free, amid a long clause", took)]


def cancel_once(voice: Voice, words: Any, after_s: float) -> float:
    """Cancel a computation `after_s` from its start; ms until its thread is free."""
    computation = voice.begin(words)
    freed: list[int] = []

    def compute() -> None:
        try:
            computation.plan()
            for _ in computation.windows():
                pass
        except CancelledClauseError:
            freed.append(CLOCK.now_ns())

    thread = threading.Thread(target=compute)
    thread.start()
    time.sleep(after_s)
    cancelled_ns = CLOCK.now_ns()
    computation.cancel()
    thread.join()
    return (freed[0] - cancelled_ns) / 1e6 if freed else 0.0


def engine_rows(settings: Settings, repeat: int) -> list[Row]:
    """CPU time of the engine alone, which other work on the machine disturbs least."""
    voice = Voice(model_path(settings), threads=1, cuda=False)
    rows = []
    for name, text in TEXTS.items():
        first, whole = [], []
        for _ in range(repeat):
            computation = voice.begin(spoken_words(text))
            start_s = time.thread_time()
            computation.plan()
            computation.window()
            first.append((time.thread_time() - start_s) * 1000)
            list(computation.windows())
            whole.append((time.thread_time() - start_s) * 1000)
        rows += [row(f"CPU until the first window, {name}", first), row(f"CPU until all of it, {name}", whole)]
    return rows


if __name__ == "__main__":
    main()
