"""Real workers for contract tests: one that is called, one that calls, over real gRPC and real SIP on loopback."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest

from services.common.rpc_client import open_channel
from services.common.settings import RpcSettings
from services.pb.trunkline.telephony.v1 import telephony_pb2 as pb
from services.telephony.client import WorkerClient
from tests.telephony.process import WorkerProcess, worker_process

CALLER = ("telephony.jitter_buffer=off", "telephony.max_calls_per_s=30")


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skip with the reason where an external program is missing."""
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")


@dataclass
class Side:
    """One worker with its client: what its legs heard, and how far they have played."""

    worker: WorkerProcess
    client: WorkerClient
    uri: str = ""
    heard: dict[int, bytearray] = field(default_factory=dict)
    last: dict[int, pb.LegFrame] = field(default_factory=dict)
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    def on_response(self, response: pb.MediaResponse) -> None:
        for frame in response.frames:
            self.heard.setdefault(frame.leg_id, bytearray()).extend(frame.pcm)
            self.last[frame.leg_id] = frame
        self.moved.set()

    async def answer(self, timeout_s: float = 5.0) -> tuple[int, pb.LegEvent]:
        """Answer the next incoming call; its leg and its Established."""
        leg = (await self.client.event(0, "incoming", timeout_s=timeout_s)).leg_id
        self.client.command(leg, answer=pb.Answer())
        return leg, await self.client.event(leg, "established", timeout_s=timeout_s)

    async def play(self, leg: int, pcm: bytes, rate_hz: int) -> None:
        """Feed a leg in real time, 40 ms ahead."""
        size = rate_hz // 50 * 2
        loop = asyncio.get_running_loop()
        start = loop.time() - 0.04
        for n, at in enumerate(range(0, len(pcm) - size + 1, size)):
            await asyncio.sleep(max(0.0, start + n * 0.02 - loop.time()))
            self.client.play(leg, pcm[at : at + size])

    async def until(self, true: Callable[[], bool], timeout_s: float = 5.0) -> None:
        """Wait for something that is seen in frames."""
        async with asyncio.timeout(timeout_s):
            while not true():
                self.moved.clear()
                await self.moved.wait()


@asynccontextmanager
async def side(settings: Sequence[str] = ()) -> AsyncIterator[Side]:
    """One worker process and its client."""
    async with worker_process(settings) as worker, open_channel(worker.address, RpcSettings()) as channel:
        it = Side(worker, WorkerClient(channel))
        it.client = WorkerClient(channel, it.on_response)
        async with it.client:
            it.uri = (await it.client.describe()).details["sip_uri"]
            yield it


async def connect(caller: Side, callee: Side) -> tuple[int, int, pb.LegEvent]:
    """A call from one to the other: the caller's leg, the callee's leg, the callee's Established."""
    leg = await caller.client.dial(callee.uri)
    answered, established = await callee.answer()
    await caller.client.event(leg, "established")
    return leg, answered, established


def tone(frequency_hz: float, seconds: float, rate_hz: int, amplitude: int = 8000) -> bytes:
    """A sine as PCM."""
    t = np.arange(int(seconds * rate_hz)) / rate_hz
    return (amplitude * np.sin(2 * np.pi * frequency_hz * t)).astype("<i2").tobytes()


def main_frequency(pcm: bytes, rate_hz: int) -> float:
    """The strongest frequency in Hz."""
    samples = np.frombuffer(bytes(pcm), "<i2").astype(float)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate_hz / len(samples))


def loud(pcm: bytes, threshold: int = 500) -> np.ndarray:
    """Which 20 ms frames hold sound (8 kHz PCM)."""
    samples = np.abs(np.frombuffer(bytes(pcm), "<i2").astype(int))
    return samples[: len(samples) // 160 * 160].reshape(-1, 160).max(axis=1) > threshold
