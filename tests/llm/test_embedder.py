"""Embeddings over a real channel: what is refused, what is bounded, and (models) what the real model says."""

import asyncio
import threading
from collections.abc import AsyncIterator

import grpc
import numpy as np
import pytest

from services.common.clock import SystemClock
from services.common.errors import InvalidInputError, MissingModelError, OverloadedError
from services.common.rpc_client import from_rpc_error
from services.common.rpc_server import serve
from services.llm.embedder import Embedder, Floats
from services.llm.server import build
from services.orchestrator.clients.embed import EmbedClient
from services.pb.trunkline.llm.v1 import llm_pb2 as pb
from services.pb.trunkline.llm.v1 import llm_pb2_grpc as rpc
from tests.llm.wire import settings

CHOSEN = settings(engine="scripted", max_queue=2)


class ScriptedModel:
    """A vector made of the text's length; waits for `gate` where there is one."""

    def __init__(self) -> None:
        self.gate: threading.Event | None = None
        self.seen: list[str] = []

    def embed(self, text: str) -> Floats:
        if self.gate is not None:
            self.gate.wait(10)
        self.seen.append(text)
        vector = np.array([1.0, len(text)], dtype=np.float32)
        return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest.fixture
async def channel(model: ScriptedModel) -> AsyncIterator[grpc.aio.Channel]:
    service = build(CHOSEN, SystemClock(), embedder=Embedder(CHOSEN, model))
    server = await serve(service, CHOSEN.rpc, SystemClock(), host="127.0.0.1", port=0)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as opened:
            yield opened
    finally:
        if model.gate is not None:
            model.gate.set()
        await server.stop()


async def test_vectors_come_in_the_order_of_the_texts_and_have_unit_length(channel: grpc.aio.Channel) -> None:
    vectors = await EmbedClient(channel).examples([f"text {'x' * n}" for n in range(70)])
    assert vectors.shape == (70, 2)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert list(np.argsort(vectors[:, 1])) == list(range(70))


@pytest.mark.parametrize("texts", [[], ["fine", " "], ["x" * 2001], ["x"] * 65])
async def test_texts_that_cannot_be_embedded_are_refused_by_name(channel: grpc.aio.Channel, texts: list[str]) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await rpc.LlmServiceStub(channel).Embed(pb.EmbedRequest(texts=texts), timeout=5)
    error = from_rpc_error(refused.value)
    assert isinstance(error, InvalidInputError)
    assert error.field.startswith("texts")


async def test_a_short_request_waits_for_one_text_of_a_long_one_and_a_third_is_refused(model: ScriptedModel) -> None:
    model.gate = threading.Event()
    embedder = Embedder(CHOSEN, model)
    try:
        long = asyncio.create_task(embedder.embed(["long"] * 30))
        short = asyncio.create_task(embedder.embed(["short"]))
        await asyncio.sleep(0)  # Both run as far as the thread.
        with pytest.raises(OverloadedError):
            await embedder.embed(["third"])
        model.gate.set()
        async with asyncio.timeout(5):
            assert len(await long) == 30
            assert len(await short) == 1
    finally:
        model.gate.set()
        await embedder.close()
    assert model.seen.index("short") < 3
    assert "third" not in model.seen


async def test_no_second_opinion_in_time_is_none_and_not_an_error(
    channel: grpc.aio.Channel, model: ScriptedModel
) -> None:
    model.gate = threading.Event()
    assert await EmbedClient(channel).opinion("call", "block my card") is None


async def test_a_service_without_embedder_says_what_to_set() -> None:
    with pytest.raises(MissingModelError, match=r"llm\.embedder"):
        await Embedder(settings(engine="scripted", embedder="")).embed(["text"])


@pytest.mark.models
async def test_the_real_model_puts_what_means_the_same_together_whatever_else_is_asked() -> None:
    embedder = Embedder(settings(engine="scripted"))
    try:
        lost, stolen, balance = await embedder.embed(["I lost my card", "my card is gone", "what is my balance"])
        [alone] = await embedder.embed(["I lost my card"])
        [longer] = await embedder.embed(["word " * 200])
    finally:
        await embedder.close()
    assert lost.shape == longer.shape == (384,)
    assert np.array_equal(lost, alone)
    assert abs(float(np.linalg.norm(lost)) - 1) < 1e-5
    assert lost @ stolen > lost @ balance + 0.2
