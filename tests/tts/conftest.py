"""A running TTS service and what a client needs to talk to it."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc.aio
import numpy as np

from services.common.clock import SystemClock
from services.common.rpc_client import open_channel
from services.common.rpc_server import GrpcService, serve
from services.common.settings import AgentSettings, Settings, load_settings
from services.pb.trunkline.tts.v1 import tts_pb2, tts_pb2_grpc
from services.tts.server import build


@dataclass
class Spoken:
    """All that came back for one utterance; `order` names the kinds of responses in sequence."""

    order: list[str] = field(default_factory=list)
    clauses: list[tts_pb2.ClauseStarted] = field(default_factory=list)
    pcm: bytes = b""
    finished: tts_pb2.Finished | None = None

    @property
    def samples(self) -> np.ndarray:
        return np.frombuffer(self.pcm, "<i2").astype(np.float32) / 32768

    @property
    def words(self) -> list[tts_pb2.Word]:
        return [word for clause in self.clauses for word in clause.words]


class TtsClient:
    """Speaks to the service as the orchestrator does."""

    def __init__(self, stub: tts_pb2_grpc.TtsServiceStub) -> None:
        self.stub = stub

    async def open(self, **config: Any) -> Any:
        call = self.stub.Synthesize(timeout=30)
        chosen = {"call_id": "test", "sample_rate_hz": 16000, **config}
        await call.write(tts_pb2.SynthesizeRequest(config=tts_pb2.SynthesizeConfig(**chosen)))
        return call

    async def say(self, text: str | Iterable[str], **config: Any) -> Spoken:
        call = await self.open(**config)
        for piece in [text] if isinstance(text, str) else text:
            await call.write(tts_pb2.SynthesizeRequest(text=piece))
        await call.write(tts_pb2.SynthesizeRequest(end=tts_pb2.End()))
        await call.done_writing()
        return await collect(call)


async def collect(call: Any) -> Spoken:
    spoken = Spoken()
    # Requests may have been written and responses read one by one before: grpc wants one style per call.
    while (response := await call.read()) is not grpc.aio.EOF:
        kind = response.WhichOneof("payload")
        spoken.order.append(kind)
        if kind == "clause":
            spoken.clauses.append(response.clause)
        elif kind == "audio":
            spoken.pcm += response.audio.pcm
        else:
            spoken.finished = response.finished
    return spoken


@asynccontextmanager
async def running(
    settings: Settings, *, service: GrpcService | None = None, warm: bool = True
) -> AsyncIterator[TtsClient]:
    clock = SystemClock()
    service = service or build(settings, clock)
    server = await serve(service, settings.rpc, clock, host="127.0.0.1", port=0, warm=warm)
    channel = open_channel(f"127.0.0.1:{server.port}", settings.rpc)
    try:
        yield TtsClient(tts_pb2_grpc.TtsServiceStub(channel))
    finally:
        await channel.close()
        await server.stop()


def tts_settings(**changes: Any) -> Settings:
    """Unpaced, because a test does not play what it hears. Keys of the tts section, or of the agent section."""
    agent = {key: value for key, value in changes.items() if key in AgentSettings.model_fields}
    tts = {key: value for key, value in changes.items() if key not in agent}
    return load_settings(env={}, overrides={"tts": {"ahead_ms": 600_000, **tts}, "agent": agent})
