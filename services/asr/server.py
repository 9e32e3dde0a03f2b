"""The asr service on the wire: `build` makes it from the settings; one Session per Recognize stream."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio

from services import __version__
from services.asr import metrics
from services.asr.effects import Limits
from services.asr.endings import Endings
from services.asr.filters import Thresholds
from services.asr.hypothesis import EngineInfo
from services.asr.outbox import Outbox
from services.asr.runner import Recogniser, Runner
from services.asr.scripted import ScriptedRecogniser
from services.asr.session import Session
from services.common.clock import Clock, sleep_s
from services.common.errors import DeadlineError, InvalidInputError, OverloadedError, UnavailableError
from services.common.log import get_logger
from services.common.models import ModelStore
from services.common.rpc_server import GrpcService
from services.common.settings import Settings
from services.pb.trunkline.asr.v1 import asr_pb2 as pb
from services.pb.trunkline.asr.v1 import asr_pb2_grpc
from services.pb.trunkline.common.v1 import common_pb2

log = get_logger(__name__)

CONFIG_DEADLINE_S = 10.0
Context = grpc.aio.ServicerContext[Any, Any]


def build(settings: Settings, clock: Clock) -> GrpcService:
    """The service as a process runs it. Its model is loaded by `warm`, which raises MissingModelError."""
    servicer = AsrServicer(settings, clock)

    def register(server: grpc.aio.Server) -> None:
        asr_pb2_grpc.add_AsrServiceServicer_to_server(servicer, server)

    full_name = pb.DESCRIPTOR.services_by_name["AsrService"].full_name
    return GrpcService("asr", (full_name,), register, servicer.warm, servicer.close)


class AsrServicer(asr_pb2_grpc.AsrServiceServicer):
    """Recognize and Describe. Not ready before `warm`."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._store = ModelStore(settings.models)
        self._recogniser: Recogniser | None = None
        self._runner: Runner | None = None
        self._info: EngineInfo | None = None
        self._streams = itertools.count(1)
        self._active = 0
        asr = settings.asr
        self._limits = Limits(preroll_ms=asr.preroll_ms, max_utterance_ms=asr.max_utterance_ms)
        self._thresholds = Thresholds(asr.no_speech_threshold, asr.logprob_threshold, asr.compression_ratio_threshold)

    async def warm(self) -> None:
        """Load the model, decode once, and only then accept streams."""
        if self._settings.asr.engine == "scripted":
            scripted = ScriptedRecogniser(self._settings.scripted.asr_final_ms, self._clock)
            self._info, self._recogniser = scripted.info, scripted
        else:
            # Imported here: the scripted service runs without CTranslate2.
            from services.asr.engine import WhisperEngine

            path = await asyncio.to_thread(self._store.path, self._settings.asr.model)
            engine = await asyncio.to_thread(WhisperEngine, self._settings.asr, path)
            self._runner = Runner(engine, self._settings.asr, self._clock, await self._endings())
            await self._runner.warm()
            self._runner.start()
            self._info, self._recogniser = engine.info, self._runner
        log.info("asr engine ready", engine=self._info.name, model=self._info.model, device=self._info.device)

    async def _endings(self) -> Endings | None:
        """None where none is wanted."""
        if not self._settings.asr.ending_model:
            return None
        path = await asyncio.to_thread(self._store.path, self._settings.asr.ending_model)
        return await asyncio.to_thread(Endings.load, path)

    async def close(self) -> None:
        """Stop the worker."""
        if self._runner is not None:
            await self._runner.close()

    # A coroutine that writes, not a generator: its clean-up runs in the cancelled task, not when it is collected.
    async def Recognize(  # type: ignore[override]
        self, request_iterator: AsyncIterator[pb.RecognizeRequest], context: Context
    ) -> None:
        """See asr.proto. Ends by the client's half-close (after the last answer), its cancellation, or an error."""
        if self._active >= self._settings.asr.max_calls:
            raise OverloadedError("The recogniser", retry_after_s=1.0)
        self._active += 1
        metrics.CALLS.set(self._active)
        outbox = Outbox()
        watch = asyncio.create_task(self._expect_config(outbox), name="asr-config-watch")
        reader = asyncio.create_task(self._read(request_iterator, outbox, watch), name="asr-reader")
        try:
            async for response in outbox:
                await context.write(response)
            await reader
        finally:
            self._active -= 1
            metrics.CALLS.set(self._active)
            reader.cancel()
            watch.cancel()
            await asyncio.gather(reader, watch, return_exceptions=True)

    async def _expect_config(self, outbox: Outbox) -> None:
        """Ends a stream that says nothing: it would hold a place for a call that never comes."""
        await sleep_s(self._clock, CONFIG_DEADLINE_S)
        outbox.fail(DeadlineError(f"No config came within {CONFIG_DEADLINE_S:.0f} s.", remedy="Send it first."))

    async def _read(
        self, requests: AsyncIterator[pb.RecognizeRequest], outbox: Outbox, watch: asyncio.Task[None]
    ) -> None:
        """Take what the client sends; errors end the stream through the task's result."""
        session: Session | None = None
        try:
            async for request in requests:
                if session is None:
                    session = self._open(request, outbox)
                    watch.cancel()
                else:
                    session.take(request)
            if session is not None:
                await session.drained()
        finally:
            if session is not None:
                session.close()
            outbox.close()

    def _open(self, request: pb.RecognizeRequest, outbox: Outbox) -> Session:
        if self._recogniser is None:
            raise UnavailableError("The recogniser is still loading its model.", remedy="Wait for health SERVING.")
        if request.WhichOneof("payload") != "config":
            got = request.WhichOneof("payload") or "nothing"
            raise InvalidInputError("config", expected="as the first message", got=got)
        return Session(
            next(self._streams),
            request.config,
            self._recogniser,
            outbox,
            self._limits,
            self._thresholds,
            self._clock,
        )

    async def Load(self, request: common_pb2.LoadRequest, context: Context) -> common_pb2.LoadResponse:
        """How full the recogniser is."""
        if self._recogniser is None:
            raise UnavailableError("The recogniser is still loading its model.", remedy="Wait for health SERVING.")
        return self._recogniser.load().to_proto(self._clock.now_ns())

    def _model_info(self, name: str) -> common_pb2.ModelInfo:
        entry = self._store.entry(name)
        weights = max(entry.files, key=lambda file: file.size)
        return common_pb2.ModelInfo(
            name=entry.name, version=entry.version, sha256=weights.sha256, licence=entry.licence
        )

    async def Describe(self, request: common_pb2.DescribeRequest, context: Context) -> common_pb2.DescribeResponse:
        """What runs."""
        if self._info is None:
            raise UnavailableError("The recogniser is still loading its model.", remedy="Wait for health SERVING.")
        models = []
        if self._info.name != "scripted":
            models = [self._model_info(name) for name in (self._info.model, self._settings.asr.ending_model) if name]
        return common_pb2.DescribeResponse(
            service="asr",
            version=__version__,
            engine=self._info.name,
            engine_version=self._info.version,
            models=models,
            device=self._info.device,
            details=self._info.details,
        )
