"""What recognition costs on this machine.

    python -m benchmarks.asr [--model NAME] [--threads N] [--repeat N] [--json FILE]

Engine: wall and CPU time per utterance of 1, 2, 4 and 8 s of recorded speech, batches of 1, 2 and 4, word times.
Service, over a real channel with audio at its real pace, utterances of 3 s: from the mark SPEECH_PAUSED to the
provisional final, from FINALIZE to the final, with and without partials, for one call and for four; CPU is that of
client and service per second of audio. Every figure is a median with its n.
"""

import argparse
import asyncio
import json
import os
import statistics
import time
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import services.asr  # noqa: F401  (sets the thread count of OpenBLAS before numpy is imported)
from services.asr.engine import WhisperEngine
from services.asr.hypothesis import DecodeRequest, Pcm, Recognition
from services.asr.server import build
from services.common.clock import SystemClock, sleep_s
from services.common.models import ModelStore
from services.common.rpc_client import open_channel
from services.common.rpc_server import serve
from services.common.settings import Settings, load_settings
from services.pb.trunkline.asr.v1 import asr_pb2 as pb
from services.pb.trunkline.asr.v1 import asr_pb2_grpc

CLOCK = SystemClock()
MESSAGE_S = 0.1
SILENCE_S = 0.2
UTTERANCE_S = 3.0


def main() -> None:
    """Measure, print a table, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", default="whisper-tiny.en")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    settings = load_settings(overrides={"asr": {"model": args.model, "threads": args.threads}})
    speech = recorded(settings)
    rows = [*engine_rows(settings, speech, args.repeat), *asyncio.run(service_rows(settings, speech, args.repeat))]
    for row in rows:
        print(f"{row['what']:<44} n={row['n']:<4} wall {row['wall_ms']:7.1f} ms   cpu {row['cpu_ms']:7.1f} ms")
    if args.json:
        facts = {"model": args.model, "threads": args.threads, "load_average": os.getloadavg(), "rows": rows}
        args.json.write_text(json.dumps(facts, indent=1), encoding="utf-8")


def recorded(settings: Settings) -> Pcm:
    """All recorded sentences in a row, 16 kHz."""
    root = ModelStore(settings.models).path("speech-test") / "librivox"
    parts = []
    for path in sorted(root.glob("*.wav")):
        with wave.open(str(path)) as file:
            parts.append(np.frombuffer(file.readframes(file.getnframes()), dtype="<i2"))
    return np.concatenate(parts)


def timed(what: str, repeat: int, work: Callable[[int], Any], per: int = 1) -> dict[str, Any]:
    """Median wall and process CPU time of `work(i)`, divided by `per`."""
    work(0)
    walls, cpus = [], []
    for i in range(repeat):
        wall, cpu = CLOCK.now_ns(), _cpu_ms()
        work(i)
        walls.append((CLOCK.now_ns() - wall) / 1e6 / per)
        cpus.append((_cpu_ms() - cpu) / per)
    return _row(what, walls, cpus)


def engine_rows(settings: Settings, speech: Pcm, repeat: int) -> list[dict[str, Any]]:
    """The engine alone, in this thread."""
    engine = WhisperEngine(settings.asr, ModelStore(settings.models).path(settings.asr.model))

    def request(seconds: int, i: int, *, words: bool) -> DecodeRequest:
        start = i * 24_000 % (len(speech) - seconds * 16_000)
        return DecodeRequest(speech[start : start + seconds * 16_000], Recognition(locale="en"), words)

    def run(count: int, seconds: int, *, words: bool) -> Callable[[int], Any]:
        return lambda i: engine.recognise([request(seconds, i * count + k, words=words) for k in range(count)])

    rows = [
        timed(f"engine: {seconds} s, {'with' if words else 'no'} words", repeat, run(1, seconds, words=words))
        for words in (True, False)
        for seconds in (1, 2, 4, 8)
    ]
    rows += [
        timed(f"engine: 4 s with words, each of a batch of {count}", repeat, run(count, 4, words=True), count)
        for count in (1, 2, 4)
    ]
    return rows


async def service_rows(settings: Settings, speech: Pcm, repeat: int) -> list[dict[str, Any]]:
    """Over a channel, audio at its real pace, one call."""
    server = await serve(build(settings, CLOCK), settings.rpc, CLOCK, host="127.0.0.1", port=0)
    channel = open_channel(f"127.0.0.1:{server.port}", settings.rpc)
    stub = asr_pb2_grpc.AsrServiceStub(channel)
    rows = []
    for name, calls, partials, paused in (
        ("1 call, partials 500 ms", 1, 500, True),
        ("1 call, no partials", 1, 0, True),
        ("1 call, no pause before", 1, 0, False),
        ("4 calls, partials 500 ms", 4, 500, True),
    ):
        waits: dict[str, list[float]] = {}
        cpu, audio_s = _cpu_ms(), 0.0
        for i in range(0, repeat, calls):
            together = [_later(stub, speech, k, partials, paused=paused) for k in range(i, i + calls)]
            audio_s += calls * UTTERANCE_S
            for found in await asyncio.gather(*together):
                for what, ms in found.items():
                    waits.setdefault(what, []).append(ms)
        per_audio_s = (_cpu_ms() - cpu) / audio_s
        rows += [_row(f"service, {name}: {what}", values, [per_audio_s]) for what, values in waits.items()]
    await channel.close()
    await server.stop()
    return rows


async def _later(stub: Any, speech: Pcm, number: int, partials_ms: int, *, paused: bool) -> dict[str, float]:
    """Calls do not begin to speak at one moment."""
    await sleep_s(CLOCK, 0.37 * (number % 4))
    start = number * 24_000 % (len(speech) - int(UTTERANCE_S * 16_000))
    return await _utterance(stub, speech[start : start + int(UTTERANCE_S * 16_000)], partials_ms, paused=paused)


async def _utterance(stub: Any, pcm: Pcm, partials_ms: int, *, paused: bool) -> dict[str, float]:
    """One utterance of one call; ms from each mark to its answer."""
    rpc = stub.Recognize(timeout=60)
    config = pb.RecognizeConfig(call_id="bench", sample_rate_hz=16_000, locale="en", partial_interval_ms=partials_ms)
    await rpc.write(pb.RecognizeRequest(config=config))
    await rpc.write(pb.RecognizeRequest(mark=pb.Mark(kind=pb.Mark.KIND_SPEECH_STARTED, utterance_id=1)))
    samples = int(MESSAGE_S * 16_000)
    tail = np.zeros(int(SILENCE_S * 16_000), dtype=np.int16)
    audio = np.concatenate([pcm, tail])
    for seq, start in enumerate(range(0, len(audio), samples)):
        message = pb.Audio(seq=seq, pcm=audio[start : start + samples].tobytes())
        await rpc.write(pb.RecognizeRequest(audio=message))
        await sleep_s(CLOCK, MESSAGE_S)
    waits = {}
    kinds = [pb.Mark.KIND_SPEECH_PAUSED] if paused else []
    for kind in (*kinds, pb.Mark.KIND_FINALIZE):
        sent = CLOCK.now_ns()
        await rpc.write(pb.RecognizeRequest(mark=pb.Mark(kind=kind, utterance_id=1)))
        while (answer := await rpc.read()).WhichOneof("payload") == "partial":
            pass
        if answer.WhichOneof("payload") == "error":
            return {"refused": (CLOCK.now_ns() - sent) / 1e6}
        waits[pb.Mark.Kind.Name(kind).removeprefix("KIND_").lower()] = (CLOCK.now_ns() - sent) / 1e6
    await rpc.done_writing()
    return waits


def _row(what: str, walls: list[float], cpus: list[float]) -> dict[str, Any]:
    ordered = sorted(walls)
    return {
        "what": what,
        "n": len(walls),
        "wall_ms": statistics.median(walls),
        "wall_p95_ms": ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))],
        "cpu_ms": statistics.median(cpus),
    }


def _cpu_ms() -> float:
    return time.process_time_ns() / 1e6


if __name__ == "__main__":
    main()
