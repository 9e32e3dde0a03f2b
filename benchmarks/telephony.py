"""Measure the telephony worker alone: CPU, packet gaps, and how long audio takes through it in each direction.

    python -m benchmarks.telephony --calls 25 --seconds 10 [--set telephony.jitter_buffer=off] [--out FILE.json]

Callers are plain sockets (G.711 µ-law, 20 ms), each with its own phase; the client is this process. Every packet
carries a mark, so each figure is taken packet by packet:
  rx      packet sent by a caller → its frame in the client
  tx      frame given by the client → packet at the caller (the wait for the next packet slot, 0-20 ms, is in it)
  echo    packet sent by a caller → same mark back at the caller, the client returning each frame at once
  clear   Clear sent by the client → last packet at the caller that is not silence
"""

import argparse
import asyncio
import json
import os
import platform
import random
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from services.common.rpc_client import open_channel
from services.common.settings import RpcSettings
from services.pb.trunkline.telephony.v1 import telephony_pb2 as pb
from services.telephony.client import WorkerClient
from tests.telephony.process import WorkerProcess, worker_process
from tests.telephony.raw_call import MARK_OF_SAMPLE, MARKS, SAMPLES, ULAW, RawCall, pace

# Frames the client has in flight when it plays continuously: enough that the ring never runs dry.
_PLAY_AHEAD = 2


def figures(values_ms: Sequence[float]) -> dict[str, float]:
    """n, P50, P95, P99 and the largest, in ms."""
    if not values_ms:
        return {"n": 0}
    cuts = np.percentile(values_ms, [50, 95, 99])
    return {
        "n": len(values_ms),
        "p50_ms": round(float(cuts[0]), 1),
        "p95_ms": round(float(cuts[1]), 1),
        "p99_ms": round(float(cuts[2]), 1),
        "max_ms": round(max(values_ms), 1),
    }


class Line:
    """One caller and its leg, with the times of its marks."""

    def __init__(self, target: str) -> None:
        self.call = RawCall(target, on_rtp=self._on_rtp)
        self.leg = 0
        self.mode = "listen"
        self.sent_ns: dict[int, int] = {}
        self.played_ns: dict[int, int] = {}
        self.last_sound_ns = 0
        self.rx_ms: list[float] = []
        self.tx_ms: list[float] = []
        self.echo_ms: list[float] = []

    def send(self, n: int) -> None:
        mark = MARKS[n % len(MARKS)]
        self.sent_ns[mark] = self.call.rtp(bytes([mark]) * SAMPLES)

    def heard(self, pcm: bytes, now_ns: int) -> int | None:
        """A frame reached the client; the mark it carries."""
        mark = MARK_OF_SAMPLE.get(int.from_bytes(pcm[160:162], "little", signed=True))
        if mark is not None and mark in self.sent_ns:
            self.rx_ms.append((now_ns - self.sent_ns[mark]) / 1e6)
        return mark

    def _on_rtp(self, payload: bytes, at_ns: int) -> None:
        mark = payload[80]
        if abs(int(ULAW[mark])) <= 200:
            return
        self.last_sound_ns = at_ns
        if self.mode == "echo" and mark in self.sent_ns:
            self.echo_ms.append((at_ns - self.sent_ns[mark]) / 1e6)
        elif self.mode == "play" and mark in self.played_ns:
            self.tx_ms.append((at_ns - self.played_ns.pop(mark)) / 1e6)


class Bench:
    """All lines of one run over one worker."""

    client: WorkerClient

    def __init__(self, worker: WorkerProcess) -> None:
        self.worker = worker
        self.lines: list[Line] = []
        self.by_leg: dict[int, Line] = {}

    def on_response(self, response: pb.MediaResponse) -> None:
        now_ns = time.monotonic_ns()
        back = pb.MediaRequest()
        for frame in response.frames:
            line = self.by_leg.get(frame.leg_id)
            if line is None:
                continue
            if frame.pcm:
                line.heard(frame.pcm, now_ns)
                if line.mode == "echo":
                    back.frames.add(leg_id=frame.leg_id, pcm=frame.pcm)
        if back.frames:
            self.client.send(back)

    async def connect(self, calls: int) -> None:
        target = (await self.client.describe()).details["sip_uri"].split("@")[1].split(";")[0]
        for _ in range(calls):
            line = Line(target)
            await line.call.open()
            waiting = asyncio.create_task(line.call.invite(timeout_s=10))
            line.leg = (await self.client.event(0, "incoming")).leg_id
            self.by_leg[line.leg] = line
            self.client.command(line.leg, answer=pb.Answer())
            if await waiting != 200:
                raise SystemExit("a call was not answered")
            await self.client.event(line.leg, "established")
            self.lines.append(line)

    async def talk(self, seconds: float, mode: str) -> float:
        """Both directions for a while; returns the worker's CPU in cores."""
        for line in self.lines:
            line.mode = mode
            line.call.arrivals.clear()
        tasks = [asyncio.create_task(pace(seconds, line.send, offset_ms=random.uniform(0, 20))) for line in self.lines]
        if mode == "play":
            tasks.append(asyncio.create_task(pace(seconds, self._play)))
        start, cpu = time.monotonic(), self.worker.cpu_s()
        await asyncio.gather(*tasks)
        return (self.worker.cpu_s() - cpu) / (time.monotonic() - start)

    def _play(self, n: int) -> None:
        """One ticker for all legs, as the orchestrator has."""
        request = pb.MediaRequest()
        for line in self.lines:
            for k in range(_PLAY_AHEAD if n == 0 else 1):
                mark = MARKS[(n + k + (_PLAY_AHEAD - 1 if n else 0)) % len(MARKS)]
                line.played_ns[mark] = time.monotonic_ns()
                request.frames.add(leg_id=line.leg, pcm=np.full(SAMPLES, ULAW[mark], "<i2").tobytes())
        self.client.send(request)

    async def single_frames(self, rounds: int) -> None:
        """Frames into an empty ring: the first-packet latency of an utterance."""
        for n in range(rounds):
            request = pb.MediaRequest()
            mark = MARKS[n % len(MARKS)]
            for line in self.lines:
                line.mode = "play"
                line.played_ns[mark] = time.monotonic_ns()
                request.frames.add(leg_id=line.leg, pcm=np.full(SAMPLES, ULAW[mark], "<i2").tobytes())
            self.client.send(request)
            await asyncio.sleep(0.06 + random.uniform(0, 0.02))

    async def clears(self, rounds: int) -> list[float]:
        """Clear in the middle of continuous play."""
        out: list[float] = []
        for _ in range(rounds):
            mark = MARKS[7]
            for n in range(15):
                request = pb.MediaRequest()
                for line in self.lines:
                    pcm = np.full(SAMPLES, ULAW[mark], "<i2").tobytes()
                    request.frames.add(leg_id=line.leg, pcm=pcm * (3 if n == 0 else 1))
                self.client.send(request)
                await asyncio.sleep(0.02)
            at_ns = time.monotonic_ns()
            commands = [pb.Command(leg_id=line.leg, clear=pb.Clear()) for line in self.lines]
            self.client.send(pb.MediaRequest(commands=commands))
            await asyncio.sleep(0.15)
            out += [max(0.0, (line.last_sound_ns - at_ns) / 1e6) for line in self.lines]
        return out


def commit() -> str:
    """The commit measured."""
    head = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return head.stdout.strip() or "unknown"


async def run(calls: int, seconds: float, settings: Sequence[str]) -> dict[str, Any]:
    """One worker, `calls` calls, all measurements."""
    async with worker_process([f"telephony.max_calls={calls + 1}", *settings]) as worker:
        bench = Bench(worker)
        async with (
            open_channel(worker.address, RpcSettings()) as channel,
            WorkerClient(channel, bench.on_response) as client,
        ):
            bench.client = client
            facts = dict((await client.describe()).details)
            await bench.connect(calls)
            await bench.talk(1.0, "listen")
            for line in bench.lines:
                line.rx_ms.clear()
            cores_play = await bench.talk(seconds, "play")
            gaps = [
                (b - a) / 1e6
                for line in bench.lines
                for a, b in zip(line.call.arrivals, line.call.arrivals[1:], strict=False)
            ]
            rx = [value for line in bench.lines for value in line.rx_ms]
            await asyncio.sleep(0.2)
            for line in bench.lines:
                line.tx_ms.clear()
                line.played_ns.clear()
            await bench.single_frames(20)
            tx = [value for line in bench.lines for value in line.tx_ms]
            cores_echo = await bench.talk(seconds / 2, "echo")
            for line in bench.lines:
                line.mode = "listen"
            clears = await bench.clears(5)
            for line in bench.lines:
                await line.call.bye()
                line.call.close()
            await bench.client.event(0, "ended")
    return {
        "calls": calls,
        "settings": list(settings),
        "worker": facts,
        "cpu_cores": {"play": round(cores_play, 3), "echo": round(cores_echo, 3)},
        "packet_gap": figures(gaps),
        "rx": figures(rx),
        "tx_first_packet": figures(tx),
        "echo": figures([value for line in bench.lines for value in line.echo_ms]),
        "clear_to_silence": figures(clears),
        "commit": commit(),
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "load": round(os.getloadavg()[0], 1)},
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=25)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="settings of the worker")
    parser.add_argument("--out", type=Path, help="write the result as JSON here too")
    args = parser.parse_args()
    text = json.dumps(asyncio.run(run(args.calls, args.seconds, args.set)), indent=1)
    print(text)
    if args.out:
        args.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
