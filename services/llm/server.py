"""The wire of the language model: validates, waits for a slot, streams, and stops what nobody listens to any more."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from importlib.metadata import version
from typing import Any

import grpc.aio

from services.common.clock import Clock
from services.common.errors import DeadlineError, OverloadedError
from services.common.log import get_logger
from services.common.rpc_server import GrpcService
from services.common.settings import Settings
from services.llm.embedder import Embedder
from services.llm.engine import Engine, Message, Role
from services.llm.engines import make_engine
from services.llm.generation import Generation
from services.llm.metrics import ABORTED, EMBED_SECONDS
from services.llm.queue import WARM_PRIORITY, WHAT, AdmissionQueue, Work
from services.llm.requests import Limits, check_fits, identifier, parse_generate, parse_messages, parse_texts
from services.llm.scheduler import Scheduler
from services.pb.trunkline.common.v1 import common_pb2
from services.pb.trunkline.llm.v1 import llm_pb2 as pb
from services.pb.trunkline.llm.v1 import llm_pb2_grpc as rpc

log = get_logger(__name__)
FULL_NAME = "trunkline.llm.v1.LlmService"
Context = grpc.aio.ServicerContext[Any, Any]
# A speculation that lost its slot may be tried again as soon as the caller in its way is served.
PREEMPTED_RETRY_S = 0.5


class LlmServicer(rpc.LlmServiceServicer):
    """LlmService over one engine."""

    def __init__(
        self, engine: Engine, embedder: Embedder, scheduler: Scheduler, settings: Settings, clock: Clock
    ) -> None:
        self._engine = engine
        self._embedder = embedder
        self._scheduler = scheduler
        self._settings = settings.llm
        self._clock = clock
        self._ids = itertools.count()

    async def Generate(self, request: pb.GenerateRequest, context: Context) -> AsyncIterator[pb.GenerateResponse]:
        """Started, deltas, Finished. Raises InvalidInputError, OverloadedError, DeadlineError."""
        arrived_ns = self._clock.now_ns()
        limits = Limits(self._engine.context_tokens, self._settings.max_tokens, self._settings.temperature)
        work = self._work("generate", request.call_id, request.priority, arrived_ns, context)
        parsed = parse_generate(request, work.work_id, limits)
        await self._check_fits(parsed.messages, parsed.max_tokens)
        generation = Generation(parsed, arrived_ns, self._clock)
        # The RPC may end while this coroutine waits for the wire rather than for the engine: tell the engine itself.
        self._abort_when_over(context, work)
        try:
            async with self._scheduler.slot(work, lambda: self._engine.abort(work.work_id)) as lease:
                if lease.preempted:
                    raise OverloadedError(WHAT, retry_after_s=PREEMPTED_RETRY_S)
                async with aclosing(self._engine.generate(parsed)) as events:
                    async for event in events:
                        yield generation.on_event(event, lease.queue_ms)
                if not generation.finished:
                    # Aborted before the first token: by a surer request, or by this RPC's own deadline.
                    raise (
                        OverloadedError(WHAT, retry_after_s=PREEMPTED_RETRY_S)
                        if lease.preempted
                        else DeadlineError("The generation was stopped before its first token.")
                    )
        except OverloadedError:
            ABORTED.labels(cause="overload").inc()
            raise
        finally:
            generation.close()

    async def Warm(self, request: pb.WarmRequest, context: Context) -> pb.WarmResponse:
        """Prefill; the least urgent work, stopped (keeping what was prefilled) as soon as a generation waits."""
        arrived_ns = self._clock.now_ns()
        messages = parse_messages(request.messages)
        salt = identifier("cache_salt", request.cache_salt)
        await self._check_fits(messages, 1)
        work = self._work("warm", request.call_id, WARM_PRIORITY, arrived_ns, context)
        self._abort_when_over(context, work)
        async with self._scheduler.slot(work, lambda: self._engine.abort(work.work_id)) as lease:
            if lease.preempted:
                raise OverloadedError(WHAT, retry_after_s=PREEMPTED_RETRY_S)
            started_ns = self._clock.now_ns()
            warmed = await self._engine.warm(work.work_id, messages, salt)
        now_ns = self._clock.now_ns()
        return pb.WarmResponse(
            prompt_tokens=warmed.prompt_tokens,
            timings=common_pb2.Timings(
                queue_ms=lease.queue_ms, compute_ms=(now_ns - started_ns) / 1e6, total_ms=(now_ns - arrived_ns) / 1e6
            ),
        )

    async def Embed(self, request: pb.EmbedRequest, context: Context) -> pb.EmbedResponse:
        """Beside the engine, not in its queue: a second opinion must not wait for the first."""
        arrived_ns = self._clock.now_ns()
        identifier("call_id", request.call_id)
        vectors = await self._embedder.embed(parse_texts(request.texts))
        total_ms = (self._clock.now_ns() - arrived_ns) / 1e6
        EMBED_SECONDS.observe(total_ms / 1000)
        return pb.EmbedResponse(
            vectors=[pb.Vector(values=vector.tolist()) for vector in vectors],
            timings=common_pb2.Timings(total_ms=total_ms),
        )

    async def Load(self, request: common_pb2.LoadRequest, context: Context) -> common_pb2.LoadResponse:
        """How full the model is."""
        return self._scheduler.load().to_proto(self._clock.now_ns())

    async def Describe(self, request: common_pb2.DescribeRequest, context: Context) -> common_pb2.DescribeResponse:
        """What runs."""
        what = self._engine.describe()
        model = common_pb2.ModelInfo(
            name=what.model, version=what.model_version, sha256=what.model_sha256, licence=what.model_licence
        )
        return common_pb2.DescribeResponse(
            service="llm",
            version=version("trunkline"),
            engine=what.engine,
            engine_version=what.engine_version,
            models=[model],
            device=what.device,
            details={
                "slots": str(self._engine.slots),
                "max_queue": str(self._settings.max_queue),
                "embedder": self._embedder.name or "none",
                **what.details,
            },
        )

    def _abort_when_over(self, context: Context, work: Work) -> None:
        # Any: the stubs type the callback as a class of their own.
        over: Any = lambda _context: self._engine.abort(work.work_id)  # noqa: E731
        context.add_done_callback(over)

    async def _check_fits(self, messages: Sequence[Message], reply_tokens: int) -> None:
        context_tokens = self._engine.context_tokens
        tokens = await self._engine.count_tokens(messages, context_tokens - reply_tokens)
        check_fits(tokens, reply_tokens, context_tokens, messages)

    def _work(self, kind: str, call_id: str, priority: int, arrived_ns: int, context: Context) -> Work:
        left_s = context.time_remaining()
        return Work(
            work_id=f"{kind}-{next(self._ids)}",
            call_id=identifier("call_id", call_id),
            priority=priority,
            arrived_ns=arrived_ns,
            deadline_ns=None if left_s is None else arrived_ns + int(left_s * 1e9),
        )


def build(
    settings: Settings, clock: Clock, engine: Engine | None = None, embedder: Embedder | None = None
) -> GrpcService:
    """The service as a process runs it. `engine`, `embedder`: others than those settings name (tests)."""
    chosen = engine or make_engine(settings, clock)
    opinions = embedder or Embedder(settings)
    slots = chosen.slots
    queue = AdmissionQueue(slots=slots, capacity=settings.llm.max_queue)
    servicer = LlmServicer(chosen, opinions, Scheduler(queue, clock), settings, clock)

    async def warm() -> None:
        await chosen.start()
        await opinions.start()
        system = Message(Role.SYSTEM, settings.agent.system_prompt)
        greeting = Message(Role.ASSISTANT, settings.agent.greeting)
        # llama.cpp keeps a prefix per slot, so each gets it.
        ids = [f"start-{slot}" for slot in range(settings.llm.slots)]
        await asyncio.gather(*(chosen.warm(request_id, [system, greeting], "") for request_id in ids))
        what = chosen.describe()
        log.info(
            "llm engine ready",
            engine=what.engine,
            engine_version=what.engine_version,
            model=what.model,
            device=what.device,
            **what.details,
        )

    def register(server: grpc.aio.Server) -> None:
        rpc.add_LlmServiceServicer_to_server(servicer, server)

    async def close() -> None:
        await opinions.close()
        await chosen.close()

    return GrpcService("llm", (FULL_NAME,), register, warm, close)
