"""The contract against vLLM in process, over a real channel (`make test-vllm`: CPU build, SmolLM2-135M)."""

import asyncio
import json
from collections.abc import AsyncIterator

import grpc
import jsonschema_rs
import pytest
import pytest_asyncio

pytest.importorskip("vllm", reason="vLLM is not installed: make venv-vllm")

from services.common.clock import SystemClock
from services.llm.engine import Delta, Finished, FinishReason, GenerationRequest, Message, Role, Started
from services.llm.vllm_engine import VllmEngine
from services.pb.trunkline.common.v1 import common_pb2
from services.pb.trunkline.llm.v1 import llm_pb2 as pb
from services.pb.trunkline.llm.v1 import llm_pb2_grpc as rpc
from tests.llm.wire import hear, messages, request, running, settings

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600), pytest.mark.asyncio(loop_scope="module")]
CHOSEN = settings(
    engine="vllm", model="smollm2-135m-instruct", context_tokens=1024, slots=4, enforce_eager=True, dtype="bfloat16"
)
STORY = "Tell me a very long story about the sea."
LONG = "Each shop opens at nine and closes at five. " * 20


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine() -> VllmEngine:
    return VllmEngine(CHOSEN, SystemClock())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stub(engine: VllmEngine) -> AsyncIterator[rpc.LlmServiceStub]:
    async with running(CHOSEN, SystemClock(), engine) as client:
        yield client


async def test_a_stream_is_started_then_deltas_then_finished_with_usage(stub: rpc.LlmServiceStub) -> None:
    heard = await hear(stub, request("Say hello.", temperature=0.0, max_tokens=16))
    assert heard.kinds[0] == "started"
    assert heard.kinds[-1] == "finished"
    assert set(heard.kinds[1:-1]) == {"delta"}
    assert heard.text.strip()
    assert heard.finished.prompt_tokens == heard.started.prompt_tokens > 10
    assert 0 < heard.finished.completion_tokens <= 16


async def test_describe_names_vllm_its_version_and_that_it_isolates(stub: rpc.LlmServiceStub) -> None:
    answer = await stub.Describe(common_pb2.DescribeRequest(), timeout=5)
    assert (answer.service, answer.engine) == ("llm", "vllm")
    assert answer.engine_version.startswith("0.")
    assert answer.details["cache_isolation"] == "cache_salt"


async def test_the_token_limit_and_stop_strings_end_a_reply(stub: rpc.LlmServiceStub) -> None:
    cut = await hear(stub, request(STORY, max_tokens=5))
    assert (cut.finished.reason, cut.finished.completion_tokens) == (pb.Finished.REASON_LENGTH, 5)
    stopped = await hear(stub, request(STORY, stop=["."], temperature=0.0, max_tokens=200))
    assert "." not in stopped.text
    assert stopped.finished.reason == pb.Finished.REASON_STOP


async def test_warming_moves_the_prefill_out_of_the_next_turn(stub: rpc.LlmServiceStub) -> None:
    spoken = messages("When do you open", system=LONG)
    await stub.Warm(pb.WarmRequest(messages=spoken, cache_salt="a"), timeout=60)
    wanted = pb.GenerateRequest(messages=messages("When do you open?", system=LONG), cache_salt="a", max_tokens=2)
    heard = await hear(stub, wanted)
    # Whole blocks of 32 tokens are found again.
    assert heard.started.prompt_tokens - heard.started.cached_tokens < 2 * 32


async def test_another_salt_finds_nothing_of_an_equal_prompt(stub: rpc.LlmServiceStub) -> None:
    wanted = pb.GenerateRequest(messages=messages("Hi", system=LONG), cache_salt="caller-1", max_tokens=2)
    await hear(stub, wanted)
    assert (await hear(stub, wanted)).started.cached_tokens > 64
    wanted.cache_salt = "caller-2"
    assert (await hear(stub, wanted)).started.cached_tokens == 0


@pytest.mark.parametrize("said", ["When do you open?", "Cancel my order."])
async def test_output_under_a_schema_is_always_valid(stub: rpc.LlmServiceStub, said: str) -> None:
    schema = {
        "type": "object",
        "properties": {"act": {"enum": ["hours", "cancel", "other"]}, "sure": {"type": "boolean"}},
        "required": ["act", "sure"],
        "additionalProperties": False,
    }
    heard = await hear(stub, request(said, json_schema=json.dumps(schema), temperature=1.0, max_tokens=64))
    assert heard.finished.reason == pb.Finished.REASON_STOP
    jsonschema_rs.validate(schema, json.loads(heard.text))


async def test_a_schema_vllm_does_not_take_is_refused_by_name(stub: rpc.LlmServiceStub) -> None:
    schema = {"type": "string", "pattern": "(?<=a)b\\1(?!c)"}
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await hear(stub, request("Hi", json_schema=json.dumps(schema), max_tokens=8))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "json_schema" in str(refused.value.details())


async def test_cancelling_the_rpc_stops_the_engine(stub: rpc.LlmServiceStub, engine: VllmEngine) -> None:
    stream = stub.Generate(request(STORY, max_tokens=800), timeout=60)
    async for response in stream:
        if response.WhichOneof("payload") == "delta":
            break
    stream.cancel()
    async with asyncio.timeout(10):
        while engine._llm.output_processor.get_num_unfinished_requests():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_aborting_ends_the_stream_within_a_few_tokens(engine: VllmEngine, stub: rpc.LlmServiceStub) -> None:
    wanted = GenerationRequest("direct", (Message(Role.USER, STORY),), max_tokens=800, temperature=0.0)
    seen: list[object] = []
    async for event in engine.generate(wanted):
        seen.append(event)
        if sum(isinstance(e, Delta) for e in seen) == 4:
            engine.abort("direct")
    assert isinstance(seen[0], Started)
    assert isinstance(seen[-1], Finished)
    assert seen[-1].reason is FinishReason.ABORTED
    assert seen[-1].completion_tokens <= 4 + 8


async def test_streams_of_several_callers_run_side_by_side(stub: rpc.LlmServiceStub) -> None:
    heard = await asyncio.gather(*(hear(stub, request(STORY, call_id=f"c{n}", max_tokens=12)) for n in range(4)))
    assert [one.finished.completion_tokens for one in heard] == [12] * 4
    assert max(one.started.queue_ms for one in heard) < 1000
