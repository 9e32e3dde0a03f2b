"""A client of the asr contract as the orchestrator would write one, and a server of it on a free port."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio

from services.asr.hypothesis import Pcm
from services.asr.server import build
from services.common.clock import Clock, SystemClock
from services.common.rpc_client import open_channel
from services.common.rpc_server import serve
from services.common.settings import Settings
from services.pb.trunkline.asr.v1 import asr_pb2 as pb
from services.pb.trunkline.asr.v1 import asr_pb2_grpc

STARTED, PAUSED, RESUMED, FINALIZE, DISCARD = (
    pb.Mark.KIND_SPEECH_STARTED,
    pb.Mark.KIND_SPEECH_PAUSED,
    pb.Mark.KIND_SPEECH_RESUMED,
    pb.Mark.KIND_FINALIZE,
    pb.Mark.KIND_DISCARD,
)
ANSWER_S = 20.0


@asynccontextmanager
async def serving(settings: Settings, clock: Clock | None = None) -> AsyncIterator[asr_pb2_grpc.AsrServiceStub]:
    """A stub of a warm server on a free port."""
    clock = clock or SystemClock()
    server = await serve(build(settings, clock), settings.rpc, clock, host="127.0.0.1", port=0)
    channel = open_channel(f"127.0.0.1:{server.port}", settings.rpc)
    try:
        yield asr_pb2_grpc.AsrServiceStub(channel)
    finally:
        await channel.close()
        await server.stop()


class Stream:
    """One Recognize stream."""

    def __init__(self, stub: asr_pb2_grpc.AsrServiceStub, rate: int = 16_000, **config: Any) -> None:
        self.rate = rate
        self.rpc: Any = stub.Recognize(timeout=60)
        self._config = pb.RecognizeConfig(**{"call_id": "test", "sample_rate_hz": rate} | config)
        self._seq = 0
        self._opened = False

    async def send(self, **payload: Any) -> None:
        if not self._opened:
            self._opened = True
            await self.rpc.write(pb.RecognizeRequest(config=self._config))
        await self.rpc.write(pb.RecognizeRequest(**payload))

    async def mark(self, kind: int, utterance: int = 1, deadline_ms: int = 0, **fields: Any) -> None:
        await self.send(mark=pb.Mark(kind=kind, utterance_id=utterance, deadline_ms=deadline_ms, **fields))

    async def audio(self, pcm: Pcm) -> None:
        """100 ms messages, as fast as they go."""
        for start in range(0, len(pcm), self.rate // 10):
            await self.send(audio=pb.Audio(seq=self._seq, pcm=pcm[start : start + self.rate // 10].tobytes()))
            self._seq += 1

    async def answer(self, kind: str = "") -> Any:
        """The next answer; with `kind` ("partial", "final", "error") the next of it, partials passed over."""
        while True:
            response = await asyncio.wait_for(self.rpc.read(), ANSWER_S)
            assert response is not grpc.aio.EOF, "the stream ended without the answer"
            got = response.WhichOneof("payload")
            if got == kind or not kind:
                return getattr(response, got)
            assert got == "partial", response

    async def say(self, pcm: Pcm, utterance: int = 1, *, pause: bool = True, **fields: Any) -> Any:
        """A whole utterance; returns its final."""
        await self.mark(STARTED, utterance, **fields)
        await self.audio(pcm)
        if pause:
            await self.mark(PAUSED, utterance)
            assert (await self.answer("final")).provisional
        await self.mark(FINALIZE, utterance)
        return await self.answer("final")

    async def rest(self) -> list[pb.RecognizeResponse]:
        """Half-close and read to the end."""
        await self.rpc.done_writing()
        answers = []
        while (response := await asyncio.wait_for(self.rpc.read(), ANSWER_S)) is not grpc.aio.EOF:
            answers.append(response)
        return answers
