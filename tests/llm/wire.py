"""A client for the tests: collects a Generate stream, and starts a service on a free port."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc.aio

from services.common.clock import Clock
from services.common.rpc_server import serve
from services.common.settings import Settings, load_settings
from services.llm.engine import Engine
from services.llm.server import build
from services.pb.trunkline.llm.v1 import llm_pb2 as pb
from services.pb.trunkline.llm.v1 import llm_pb2_grpc as rpc

SYSTEM = "You are the voice assistant of a shop. Answer in one short sentence."


def settings(**llm: Any) -> Settings:
    return load_settings(env={}, overrides={"llm": {"port": 0, "metrics_port": 0, **llm}})


def messages(*texts: str, system: str = SYSTEM) -> list[pb.Message]:
    """System, then user and assistant in turns."""
    roles = (pb.Message.ROLE_USER, pb.Message.ROLE_ASSISTANT)
    turns = [pb.Message(role=roles[i % 2], content=text) for i, text in enumerate(texts)]
    return [pb.Message(role=pb.Message.ROLE_SYSTEM, content=system), *turns]


def request(*texts: str, **fields: Any) -> pb.GenerateRequest:
    return pb.GenerateRequest(**{"call_id": "call", "messages": messages(*(texts or ("Hello",))), **fields})


@dataclass
class Heard:
    """What a client got from one stream."""

    kinds: list[str] = field(default_factory=list)
    started: pb.Started = field(default_factory=pb.Started)
    text: str = ""
    finished: pb.Finished = field(default_factory=pb.Finished)

    def take(self, response: pb.GenerateResponse) -> str:
        kind = str(response.WhichOneof("payload"))
        self.kinds.append(kind)
        if kind == "started":
            self.started = response.started
        elif kind == "delta":
            self.text += response.delta.text
        else:
            self.finished = response.finished
        return kind


async def hear(
    stub: rpc.LlmServiceStub,
    wanted: pb.GenerateRequest,
    *,
    timeout_s: float = 60,
    on_item: Callable[[str], None] = lambda _: None,
) -> Heard:
    heard = Heard()
    async for response in stub.Generate(wanted, timeout=timeout_s):
        on_item(heard.take(response))
    return heard


@asynccontextmanager
async def running(chosen: Settings, clock: Clock, engine: Engine | None = None) -> AsyncIterator[rpc.LlmServiceStub]:
    server = await serve(build(chosen, clock, engine), chosen.rpc, clock, host="127.0.0.1", port=0)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            yield rpc.LlmServiceStub(channel)
    finally:
        await server.stop()
