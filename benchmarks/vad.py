"""What listening costs on this machine: one multiplexed stream with the frames of many calls at their real pace.

    python -m benchmarks.vad [--calls 1,25,50] [--seconds 20] [--engine onnx|scripted] [--turns N] [--json FILE]

The service runs in a process of its own. Per number of calls: round trip of a message (all calls' 32 ms frames) at
P50/P95/P99 with n, CPU of the service and of this client in percent of a core; then PredictTurn beside 25 calls.
"""

import argparse
import asyncio
import itertools
import json
import os
import statistics
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from services.common.clock import SystemClock, now_s, sleep_s
from services.common.models import ModelStore
from services.common.rpc_client import open_channel
from services.common.settings import load_settings
from services.pb.trunkline.common.v1 import common_pb2
from services.pb.trunkline.vad.v1 import vad_pb2, vad_pb2_grpc

CLOCK = SystemClock()
FRAME_BYTES, FRAME_S, RATE_HZ = 1024, 0.032, 16_000
PORT = 50951


def main() -> None:
    """Measure, print, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--calls", default="1,25,50")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--engine", default="onnx", choices=["onnx", "scripted"])
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    command = [sys.executable, "-m", "services.vad", "--set", f"vad.port={PORT}", "--set", "vad.metrics_port=0"]
    server = subprocess.Popen([*command, "--set", f"vad.engine={args.engine}", "--set", "log.level=error"])
    try:
        facts = asyncio.run(measure(args, psutil.Process(server.pid)))
    finally:
        server.terminate()
        server.wait()
    if args.json:
        args.json.write_text(json.dumps(facts, indent=1), encoding="utf-8")


async def measure(args: argparse.Namespace, server: psutil.Process) -> dict[str, Any]:
    """All rows, printed as they come."""
    pcm = recorded()
    rows: list[dict[str, Any]] = []
    async with open_channel(f"127.0.0.1:{PORT}", load_settings().rpc) as channel:
        stub = vad_pb2_grpc.VadServiceStub(channel)
        about = await stub.Describe(common_pb2.DescribeRequest(), timeout=30, wait_for_ready=True)
        for count in (int(part) for part in args.calls.split(",")):
            rows.append(await stream_row(stub, pcm, count, args.seconds, server))
            print(show(rows[-1]))
        load = asyncio.create_task(stream_row(stub, pcm, 25, args.turns * 0.5 + 1, server))
        rows.append(await turn_row(stub, pcm, args.turns))
        beside = await load
        rows.append({**beside, "what": "25 calls while turns are predicted"})
        print(show(rows[-2]), show(rows[-1]), sep="\n")
    engine = f"{about.engine} {about.engine_version}"
    return {"engine": engine, "cpus": os.cpu_count(), "load_average": os.getloadavg(), "rows": rows}


def recorded() -> bytes:
    """All recorded sentences in a row."""
    root = ModelStore(load_settings().models).path("speech-test") / "librivox"
    parts = []
    for path in sorted(root.glob("*.wav")):
        with wave.open(str(path)) as stream:
            parts.append(stream.readframes(stream.getnframes()))
    return b"".join(parts)


async def stream_row(
    stub: "vad_pb2_grpc.VadServiceAsyncStub", pcm: bytes, calls: int, seconds: float, server: psutil.Process
) -> dict[str, Any]:
    """One stream, `calls` calls, a message every 32 ms."""
    stream = stub.Detect()
    whole = len(pcm) // FRAME_BYTES
    # Each call hears another part of the recording.
    offsets = [int(call * whole / calls) for call in range(calls)]
    sent: dict[int, float] = {}
    times: list[float] = []

    async def send() -> None:
        start = now_s(CLOCK)
        for tick in range(int(seconds / FRAME_S)):
            await CLOCK.sleep_until_ns(int((start + tick * FRAME_S) * 1e9))
            frames = [
                vad_pb2.Frame(call_id=f"call-{call}", seq=tick, pcm=frame(pcm, (offset + tick) % whole))
                for call, offset in enumerate(offsets)
            ]
            sent[tick] = now_s(CLOCK)
            await stream.write(vad_pb2.DetectRequest(frames=frames))
        await stream.done_writing()

    before, own_before, began = cpu_s(server), cpu_s(psutil.Process()), now_s(CLOCK)
    sender = asyncio.create_task(send())
    for tick in itertools.count():
        response = await stream.read()
        if not isinstance(response, vad_pb2.DetectResponse):
            break
        times.append((now_s(CLOCK) - sent[tick]) * 1000)
        if response.errors:
            raise SystemExit(response.errors[0].message)
    await sender
    wall = now_s(CLOCK) - began
    return {
        "what": f"{calls} calls, one stream",
        **percentiles(times),
        "service_cpu_percent": round(100 * (cpu_s(server) - before) / wall, 1),
        "client_cpu_percent": round(100 * (cpu_s(psutil.Process()) - own_before) / wall, 1),
    }


async def turn_row(stub: "vad_pb2_grpc.VadServiceAsyncStub", pcm: bytes, turns: int) -> dict[str, Any]:
    """PredictTurn of 8 s, twice a second."""
    times: list[float] = []
    for turn in range(turns):
        end = (4 + turn) * RATE_HZ * 2 % len(pcm)
        request = vad_pb2.PredictTurnRequest(pcm=(pcm + pcm)[end : end + 8 * RATE_HZ * 2], sample_rate_hz=RATE_HZ)
        start = now_s(CLOCK)
        await stub.PredictTurn(request, timeout=5)
        times.append((now_s(CLOCK) - start) * 1000)
        await sleep_s(CLOCK, 0.5 - times[-1] / 1000)
    return {"what": "PredictTurn of 8 s beside 25 calls", **percentiles(times)}


def frame(pcm: bytes, index: int) -> bytes:
    """The 32 ms at `index`."""
    return pcm[index * FRAME_BYTES : (index + 1) * FRAME_BYTES]


def cpu_s(process: psutil.Process) -> float:
    """User and system time so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


def percentiles(times: list[float]) -> dict[str, float]:
    """Of milliseconds."""
    p50, p95, p99 = np.percentile(times, [50, 95, 99])
    rounded = {"p50_ms": round(p50, 2), "p95_ms": round(p95, 2), "p99_ms": round(p99, 2)}
    return {"n": len(times), **rounded, "mean_ms": round(statistics.fmean(times), 2)}


def show(row: dict[str, Any]) -> str:
    """One line."""
    cpu = ""
    if "service_cpu_percent" in row:
        cpu = f"   service {row['service_cpu_percent']:5.1f} %, client {row['client_cpu_percent']:5.1f} % of a core"
    times = f"P50 {row['p50_ms']:7.2f}  P95 {row['p95_ms']:7.2f}  P99 {row['p99_ms']:7.2f} ms"
    return f"{row['what']:<36} n={row['n']:<5} {times}{cpu}"


if __name__ == "__main__":
    main()
