"""The wire over a real channel with the scripted engine on virtual time: order, queue, pre-emption, refusal."""

import asyncio
from collections.abc import AsyncIterator, Callable

import grpc
import pytest
from prometheus_client import REGISTRY

from services.common.clock import VirtualClock
from services.common.errors import OverloadedError
from services.common.rpc_client import from_rpc_error
from services.llm.scripted import REPLY, ScriptedEngine
from services.pb.trunkline.common.v1 import common_pb2
from services.pb.trunkline.llm.v1 import llm_pb2 as pb
from services.pb.trunkline.llm.v1 import llm_pb2_grpc as rpc
from tests.llm.wire import Heard, hear, request, running, settings

CHOSEN = settings(engine="scripted", slots=1, max_queue=2)
REPLY_MS = CHOSEN.scripted.llm_ttft_ms + len(REPLY.split()) * 1000 / CHOSEN.scripted.llm_tokens_per_s


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def engine(clock: VirtualClock) -> ScriptedEngine:
    return ScriptedEngine(CHOSEN.scripted, clock, slots=1)


@pytest.fixture
async def stub(clock: VirtualClock, engine: ScriptedEngine) -> AsyncIterator[rpc.LlmServiceStub]:
    async with running(CHOSEN, clock, engine) as client:
        yield client


async def until(condition: Callable[[], bool]) -> None:
    """Let the channel work until something is seen (real I/O: only the engine's time is virtual)."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for is in another task of gRPC
            await asyncio.sleep(0.001)


async def advance_until_done(clock: VirtualClock, *tasks: "asyncio.Task[Heard]") -> None:
    async with asyncio.timeout(5):
        while not all(task.done() for task in tasks):
            await clock.advance_ms(10)
            await asyncio.sleep(0.001)


def gauge(name: str) -> float:
    return REGISTRY.get_sample_value(name) or 0.0


def in_queue() -> float:
    kinds = ("waiting_caller", "speculative", "warm")
    return sum(REGISTRY.get_sample_value("trunkline_queue_waiting", {"kind": kind}) or 0.0 for kind in kinds)


def aborted(cause: str) -> float:
    return REGISTRY.get_sample_value("trunkline_llm_aborted_total", {"cause": cause}) or 0.0


async def test_a_stream_is_started_then_deltas_then_finished(stub: rpc.LlmServiceStub, clock: VirtualClock) -> None:
    task = asyncio.create_task(hear(stub, request("Where is my order?")))
    await advance_until_done(clock, task)
    heard = task.result()
    assert heard.kinds == ["started", *["delta"] * len(REPLY.split()), "finished"]
    assert heard.text == REPLY
    assert heard.finished.reason == pb.Finished.REASON_STOP
    assert heard.started.prefill_ms == CHOSEN.scripted.llm_ttft_ms
    assert heard.finished.timings.total_ms >= CHOSEN.scripted.llm_ttft_ms


async def test_describe_says_that_it_is_scripted_and_how_fast(stub: rpc.LlmServiceStub) -> None:
    answer = await stub.Describe(common_pb2.DescribeRequest(), timeout=5)
    assert (answer.service, answer.engine, answer.device) == ("llm", "scripted", "none")
    assert answer.details["llm_ttft_ms"] == str(CHOSEN.scripted.llm_ttft_ms)


async def test_the_second_request_waits_for_the_slot_and_says_how_long(
    stub: rpc.LlmServiceStub, clock: VirtualClock
) -> None:
    first = asyncio.create_task(hear(stub, request("one", call_id="a")))
    await until(lambda: gauge("trunkline_llm_active") == 1)
    second = asyncio.create_task(hear(stub, request("two", call_id="b")))
    await until(lambda: in_queue() == 1)
    await advance_until_done(clock, first, second)
    assert first.result().started.queue_ms < 20
    assert second.result().started.queue_ms >= REPLY_MS - 20


async def test_a_full_queue_refuses_with_a_retry_delay(stub: rpc.LlmServiceStub, clock: VirtualClock) -> None:
    tasks = []
    for number in range(3):
        tasks.append(asyncio.create_task(hear(stub, request(call_id=f"c{number}"))))
        await until(lambda n=number: gauge("trunkline_llm_active") + in_queue() == n + 1)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await hear(stub, request(call_id="late"))
    error = from_rpc_error(refused.value)
    assert isinstance(error, OverloadedError)
    assert error.retry_after_s > 0.5
    await advance_until_done(clock, *tasks)


async def test_a_request_that_cannot_start_before_its_deadline_is_refused_at_once(
    stub: rpc.LlmServiceStub, clock: VirtualClock
) -> None:
    first = asyncio.create_task(hear(stub, request(call_id="a")))
    await until(lambda: gauge("trunkline_llm_active") == 1)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await hear(stub, request(call_id="b"), timeout_s=0.3)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    await advance_until_done(clock, first)


async def test_speculation_gives_its_slot_to_a_caller_who_waits(stub: rpc.LlmServiceStub, clock: VirtualClock) -> None:
    before = aborted("preempted")
    kinds: list[str] = []
    bet = asyncio.create_task(hear(stub, request(call_id="a", priority=10), on_item=kinds.append))
    async with asyncio.timeout(5):
        while kinds.count("delta") < 2:
            await clock.advance_ms(5)
            await asyncio.sleep(0.001)
    caller = asyncio.create_task(hear(stub, request(call_id="b")))
    await until(lambda: in_queue() == 1)
    await advance_until_done(clock, bet, caller)
    assert bet.result().finished.reason == pb.Finished.REASON_ABORTED
    assert len(bet.result().text) < len(REPLY)
    assert caller.result().text == REPLY
    assert caller.result().started.queue_ms < 50
    assert aborted("preempted") == before + 1


async def test_speculation_stopped_before_its_first_token_is_told_to_come_again(
    stub: rpc.LlmServiceStub, clock: VirtualClock
) -> None:
    bet = asyncio.create_task(hear(stub, request(call_id="a", priority=10)))
    await until(lambda: gauge("trunkline_llm_active") == 1)
    caller = asyncio.create_task(hear(stub, request(call_id="b")))
    await until(lambda: in_queue() == 1)
    async with asyncio.timeout(5):
        while not (bet.done() and caller.done()):
            await clock.advance_ms(10)
            await asyncio.sleep(0.001)
    error = bet.exception()
    assert isinstance(error, grpc.aio.AioRpcError)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert caller.result().text == REPLY


async def test_cancelling_the_rpc_frees_the_slot_for_the_next(stub: rpc.LlmServiceStub, clock: VirtualClock) -> None:
    before = aborted("cancelled")
    stream = stub.Generate(request(call_id="a"), timeout=30)
    async with asyncio.timeout(5):
        reading = asyncio.create_task(stream.read())
        while not reading.done():
            await clock.advance_ms(10)
            await asyncio.sleep(0.001)
    stream.cancel()
    await until(lambda: gauge("trunkline_llm_active") == 0)
    assert aborted("cancelled") == before + 1
    task = asyncio.create_task(hear(stub, request(call_id="b")))
    await advance_until_done(clock, task)
    assert task.result().started.queue_ms < 20


async def test_a_waiting_request_whose_rpc_is_cancelled_leaves_the_queue(
    stub: rpc.LlmServiceStub, clock: VirtualClock
) -> None:
    first = asyncio.create_task(hear(stub, request(call_id="a")))
    await until(lambda: gauge("trunkline_llm_active") == 1)
    waiting = stub.Generate(request(call_id="b"), timeout=30)
    reading = asyncio.create_task(waiting.read())
    await until(lambda: in_queue() == 1)
    waiting.cancel()
    await until(lambda: in_queue() == 0)
    await advance_until_done(clock, first)
    with pytest.raises(asyncio.CancelledError):
        await reading


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (pb.GenerateRequest(), "messages"),
        (request(temperature=9), "temperature"),
        (request(max_tokens=100_000), "max_tokens"),
        (request(json_schema="{"), "json_schema"),
        (request(call_id="x" * 200), "call_id"),
        (request("word " * 5000), "messages"),
    ],
)
async def test_a_malformed_request_is_invalid_argument_naming_the_field(
    stub: rpc.LlmServiceStub, wanted: pb.GenerateRequest, field: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await hear(stub, wanted)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert field in str(refused.value.details())


async def test_warm_is_checked_like_generate(stub: rpc.LlmServiceStub) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Warm(pb.WarmRequest(call_id="a"), timeout=5)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_unless_told_otherwise_no_scripted_stream_waits_for_another(clock: VirtualClock) -> None:
    """It measures our own overhead at many calls: a queue of its own would be part of the figure."""
    async with running(CHOSEN, clock) as stub:
        tasks = [asyncio.create_task(hear(stub, request(call_id=f"c{n}"))) for n in range(25)]
        await until(lambda: gauge("trunkline_llm_active") == 25)
        await advance_until_done(clock, *tasks)
    assert max(task.result().started.queue_ms for task in tasks) < 20


async def test_load_says_how_long_a_caller_has_waited_and_how_full_the_model_is(
    stub: rpc.LlmServiceStub, clock: VirtualClock
) -> None:
    first, second = (asyncio.create_task(hear(stub, request("Hello", call_id=name))) for name in "ab")
    await until(lambda: in_queue() == 1)
    await clock.advance_ms(60)
    load = await stub.Load(common_pb2.LoadRequest(), timeout=5)
    assert (load.slots, load.queues[0].kind, load.queues[0].waiting) == (1, "waiting_caller", 1)
    assert load.queues[0].oldest_ms >= 60
    assert 0 < load.utilisation < 1
    await advance_until_done(clock, first, second)
    load = await stub.Load(common_pb2.LoadRequest(), timeout=5)
    assert [queue.waiting for queue in load.queues] == [0, 0, 0]
