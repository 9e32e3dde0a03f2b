"""What never answers is given up when the clock says so: real gRPC and HTTP servers that are silent, virtual time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import grpc.aio
import pytest
from aiohttp import web

from services.common.clock import VirtualClock
from services.common.errors import DeadlineError
from services.orchestrator.bundles.contracts import Operation
from services.orchestrator.clients.llm import LlmClient
from services.orchestrator.clients.tts import TtsClient, Voice
from services.orchestrator.control.backend import BackEnd, BackEndError
from tests.web.harness import until

FIRST_MS = 3_000


class Silent(grpc.GenericRpcHandler):
    """Takes every call and never says anything. `called` is set when one is there."""

    def __init__(self) -> None:
        self.called = asyncio.Event()

    def service(self, _details: Any) -> grpc.RpcMethodHandler:
        async def never(_requests: Any, _context: Any) -> AsyncIterator[bytes]:
            self.called.set()
            await asyncio.get_running_loop().create_future()
            yield b""

        return grpc.stream_stream_rpc_method_handler(never)


@asynccontextmanager
async def silent_service() -> AsyncIterator[tuple[grpc.aio.Channel, Silent]]:
    server, silent = grpc.aio.server(), Silent()
    server.add_generic_rpc_handlers((silent,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel, silent
    await server.stop(None)


async def gives_up(clock: VirtualClock, called: asyncio.Event, work: Awaitable[Any], after_ms: float) -> None:
    """Not before, and then."""
    task = asyncio.ensure_future(work)
    await asyncio.wait_for(called.wait(), 10)
    # What is written to a stream goes over the network: the deadline begins with the last of it.
    await until(lambda: bool(clock._sleepers))
    await clock.advance_ms(after_ms - 1)
    assert not task.done()
    await clock.advance_ms(1)
    await asyncio.wait({task}, timeout=10)
    assert task.done()
    await task


async def test_a_language_model_without_a_first_token_is_given_up() -> None:
    clock = VirtualClock()
    async with silent_service() as (channel, silent):
        client = LlmClient(channel, clock, FIRST_MS)

        async def ask() -> list[Any]:
            return [reply async for reply in client.generate("call", [], 0)]

        with pytest.raises(DeadlineError, match=r"3\.0 s"):
            await gives_up(clock, silent.called, ask(), FIRST_MS)


async def test_a_voice_without_a_first_sound_is_given_up() -> None:
    clock = VirtualClock()
    async with silent_service() as (channel, silent):
        client = TtsClient(channel, clock, Voice("joe", "en-US"), FIRST_MS)

        async def ask() -> list[Any]:
            return [response async for response in client.speak("call", "Hello.", 24_000)]

        with pytest.raises(DeadlineError, match=r"3\.0 s"):
            await gives_up(clock, silent.called, ask(), FIRST_MS)


async def test_a_silent_back_end_is_unclear_after_its_time() -> None:
    clock, called, over = VirtualClock(), asyncio.Event(), asyncio.Event()

    async def never(_request: web.Request) -> web.Response:
        called.set()
        await over.wait()
        return web.Response()

    app = web.Application()
    app.router.add_get("/balance", never)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    async with aiohttp.ClientSession() as http:
        back_end = BackEnd(f"http://127.0.0.1:{port}", http, clock)
        operation = Operation("balance", "get", "/balance", {}, {}, takes_idempotency_key=False)
        with pytest.raises(BackEndError) as caught:
            await gives_up(clock, called, back_end.one(operation, {}, 2.5), 2_500)
    assert caught.value.kind == "unclear"
    over.set()
    await runner.cleanup()
