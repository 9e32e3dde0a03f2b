"""The vad service on the wire: Detect, PredictTurn, Describe."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
import grpc.aio
import numpy as np
from prometheus_client import Gauge

from services import __version__
from services.common.clock import Clock
from services.common.log import get_logger
from services.common.models import ModelStore
from services.common.rpc_server import GrpcService
from services.common.settings import Settings, VadSettings
from services.pb.trunkline.common.v1 import common_pb2
from services.pb.trunkline.vad.v1 import vad_pb2, vad_pb2_grpc
from services.vad.batcher import Batcher, SpeechEngine
from services.vad.calls import FRAME_BYTES, Calls
from services.vad.logmel import RATE_HZ
from services.vad.scripted import ScriptedSpeech, ScriptedTurn
from services.vad.silero import SileroEngine
from services.vad.turn import SmartTurnEngine, TurnEngine, TurnPredictor

log = get_logger(__name__)

FULL_NAME = vad_pb2.DESCRIPTOR.services_by_name["VadService"].full_name
CALLS: Final = Gauge("trunkline_vad_calls", "Calls whose recurrent state is held.")
_STREAMS = itertools.count()


class VadServicer(vad_pb2_grpc.VadServiceServicer):
    """Takes requests apart, hands frames to the batcher, puts answers together."""

    def __init__(
        self, batcher: Batcher, calls: Calls, turns: TurnPredictor, facts: common_pb2.DescribeResponse, clock: Clock
    ) -> None:
        self._batcher = batcher
        self._calls = calls
        self._turns = turns
        self._facts = facts
        self._clock = clock

    async def Detect(
        self, requests: AsyncIterator[vad_pb2.DetectRequest], _context: Any
    ) -> AsyncIterator[vad_pb2.DetectResponse]:
        """One answer per request. Requests of one stream are taken in turn, so its backlog stays with the client."""
        stream = next(_STREAMS)
        try:
            async for request in requests:
                yield await self._answer(stream, request)
        finally:
            self._calls.close_stream(stream)
            CALLS.set(len(self._calls))

    async def _answer(self, stream: int, request: vad_pb2.DetectRequest) -> vad_pb2.DetectResponse:
        arrived_ns = self._clock.now_ns()
        response = vad_pb2.DetectResponse()
        jobs = []
        for frame in request.frames:
            job = self._calls.admit(stream, frame, arrived_ns)
            if isinstance(job, str):
                response.errors.add(call_id=frame.call_id, seq=frame.seq, message=job)
            else:
                jobs.append(job)
        outcome = await self._batcher.detect(jobs)
        for job, probability in zip(jobs, outcome.probabilities, strict=True):
            response.detections.add(call_id=job.call_id, seq=job.seq, speech_probability=probability)
        for call_id in request.closed_call_ids:
            self._calls.close(stream, call_id)
        CALLS.set(len(self._calls))
        response.timings.queue_ms = outcome.queue_ms
        response.timings.compute_ms = outcome.compute_ms
        response.timings.total_ms = (self._clock.now_ns() - arrived_ns) / 1e6
        return response

    async def PredictTurn(self, request: vad_pb2.PredictTurnRequest, _context: Any) -> vad_pb2.PredictTurnResponse:
        """Probability that the turn is complete."""
        arrived_ns = self._clock.now_ns()
        prediction = await self._turns.predict(request.pcm, request.sample_rate_hz)
        timings = common_pb2.Timings(
            queue_ms=prediction.queue_ms,
            compute_ms=prediction.compute_ms,
            total_ms=(self._clock.now_ns() - arrived_ns) / 1e6,
        )
        return vad_pb2.PredictTurnResponse(complete_probability=prediction.complete_probability, timings=timings)

    async def Describe(self, _request: common_pb2.DescribeRequest, _context: Any) -> common_pb2.DescribeResponse:
        """What runs here."""
        return self._facts


def build(settings: Settings, clock: Clock) -> GrpcService:
    """The service as its process runs it. Raises MissingModelError before anything listens."""
    vad = settings.vad
    speech, turn, facts = _engines(settings)
    calls = Calls(vad.max_calls)
    batcher = Batcher(speech, calls, clock)
    turns = TurnPredictor(turn, vad.turn_queue_ms, clock)
    servicer = VadServicer(batcher, calls, turns, facts, clock)

    async def warm() -> None:
        batcher.start()
        # A stream id of its own, taken back at once: the first caller finds every buffer allocated.
        frame = vad_pb2.Frame(call_id="warm", pcm=bytes(FRAME_BYTES))
        job = calls.admit(-1, frame, clock.now_ns())
        await batcher.detect([job] if not isinstance(job, str) else [])
        calls.close_stream(-1)
        prediction = await turns.predict(np.zeros(RATE_HZ, dtype="<i2").tobytes(), RATE_HZ)
        log.info("vad warm", engine=facts.engine, turn_ms=round(prediction.compute_ms, 1), max_calls=vad.max_calls)

    async def close() -> None:
        await asyncio.gather(batcher.close(), turns.close())

    def register(server: grpc.aio.Server) -> None:
        vad_pb2_grpc.add_VadServiceServicer_to_server(servicer, server)

    return GrpcService("vad", (FULL_NAME,), register, warm, close)


def _engines(settings: Settings) -> tuple[SpeechEngine, TurnEngine, common_pb2.DescribeResponse]:
    vad = settings.vad
    if vad.engine == "scripted":
        log.warning("scripted engine: loudness instead of a model, for measuring overhead only")
        return ScriptedSpeech(), ScriptedTurn(), _describe(vad, ScriptedSpeech(), [])
    store = ModelStore(settings.models)
    speech_entry, turn_entry = store.entry(vad.model), store.entry(vad.turn_model)
    speech = SileroEngine(store.path(vad.model) / speech_entry.files[0].name, vad.threads)
    turn = SmartTurnEngine(store.path(vad.turn_model) / turn_entry.files[0].name, vad.threads)
    infos = [
        common_pb2.ModelInfo(name=e.name, version=e.version, sha256=e.sha256, licence=e.licence)
        for e in (speech_entry, turn_entry)
    ]
    return speech, turn, _describe(vad, speech, infos)


def _describe(
    vad: VadSettings, speech: SpeechEngine, models: list[common_pb2.ModelInfo]
) -> common_pb2.DescribeResponse:
    return common_pb2.DescribeResponse(
        service="vad",
        version=__version__,
        engine=speech.name,
        engine_version=speech.version,
        models=models,
        device="cpu",
        details={"threads": str(vad.threads), "max_calls": str(vad.max_calls), "frame_ms": "32"},
    )
