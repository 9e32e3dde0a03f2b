"""Asks the model services how full they are, a few times a second, and keeps the verdict on the next call.

A service that does not answer is left out: whether it is there at all is readiness's question, not this one's.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

import grpc.aio
from prometheus_client import Gauge

from services.common.clock import Clock, sleep_s
from services.common.settings import AdmissionSettings
from services.orchestrator.admission import Predictor, Refusal, ServiceLoad, Verdict
from services.pb.trunkline.asr.v1 import asr_pb2_grpc
from services.pb.trunkline.common.v1 import common_pb2
from services.pb.trunkline.llm.v1 import llm_pb2_grpc
from services.pb.trunkline.tts.v1 import tts_pb2_grpc

LOOK_S: Final = 0.5
_DEADLINE_S: Final = 0.5
_STUBS: Final[Mapping[str, Any]] = {
    "asr": asr_pb2_grpc.AsrServiceStub,
    "llm": llm_pb2_grpc.LlmServiceStub,
    "tts": tts_pb2_grpc.TtsServiceStub,
}
# Work that a caller waits for, or will: a reply is made on the provisional words before the turn is over.
_WAITED_FOR: Final = ("final", "waiting_caller", "speculative", "due")

PREDICTED: Final = Gauge(
    "trunkline_admission_predicted_p95_ms", "Predicted P95 of voice-to-voice with one more call; NaN: not known."
)
TARGET: Final = Gauge("trunkline_admission_target_p95_ms", "What it must not pass (orchestrator.admission).")
ADMITS: Final = Gauge("trunkline_admission_open", "1 while one more call is welcome, 0 while it is refused.")


class Admission:
    """The predictor with its inputs: what the registry asks on every call."""

    def __init__(
        self, settings: AdmissionSettings, workers: int, channels: Mapping[str, grpc.aio.Channel], clock: Clock
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._stubs = {name: stub(channels[name]) for name, stub in _STUBS.items()}
        self._predictor = Predictor(settings, workers)
        self.retry_after_s = settings.retry_after_s
        # As of the last look; the presence told to the telephony worker is read every tick.
        self.verdict = Verdict()
        TARGET.set(settings.target_p95_ms)

    def measured(self, ms: float) -> None:
        """A turn of some call was answered after so long."""
        self._predictor.measured(ms, self._clock.now_ns())

    def refusal(self, calls: int) -> Refusal | None:
        """On a call that is here now."""
        if not self._settings.enabled:
            return None
        self._judge(calls)
        return self.verdict.refusal

    def closed(self) -> bool:
        """As of the last look."""
        return self._settings.enabled and self.verdict.refusal is not None

    async def run(self, calls: Callable[[], int]) -> None:
        """Look until cancelled."""
        while True:
            loads = await self._look()
            self._predictor.looked(loads, calls(), self._clock.now_ns())
            self._judge(calls())
            await sleep_s(self._clock, LOOK_S)

    def _judge(self, calls: int) -> None:
        self.verdict = self._predictor.judge(calls, self._clock.now_ns())
        predicted = self.verdict.predicted_ms
        PREDICTED.set(float("nan") if predicted is None else predicted)
        ADMITS.set(self.verdict.refusal is None or not self._settings.enabled)

    async def _look(self) -> dict[str, ServiceLoad]:
        names = list(self._stubs)
        found = await asyncio.gather(*(self._ask(name) for name in names))
        return {name: load for name, load in zip(names, found, strict=True) if load is not None}

    async def _ask(self, name: str) -> ServiceLoad | None:
        try:
            answer = await self._stubs[name].Load(common_pb2.LoadRequest(), timeout=_DEADLINE_S)
        except grpc.aio.AioRpcError:
            return None
        oldest = max((queue.oldest_ms for queue in answer.queues if queue.kind in _WAITED_FOR), default=0.0)
        return ServiceLoad(oldest, answer.utilisation, max(1, answer.slots), answer.service_ms)
