"""One generation as the wire sees it: engine events become responses, and the metrics of the request are kept."""

from services.common.clock import Clock
from services.common.errors import TrunklineError
from services.llm.engine import Delta, Event, Finished, FinishReason, GenerationRequest, Started
from services.llm.metrics import (
    ABORTED,
    COMPLETION_TOKENS,
    PROMPT_TOKENS,
    TOKENS_PER_S,
    TTFT_SECONDS,
)
from services.llm.queue import kind_of
from services.llm.schema import check_output
from services.pb.trunkline.common.v1 import common_pb2
from services.pb.trunkline.llm.v1 import llm_pb2 as pb

_REASONS = {
    FinishReason.STOP: pb.Finished.REASON_STOP,
    FinishReason.LENGTH: pb.Finished.REASON_LENGTH,
    FinishReason.ABORTED: pb.Finished.REASON_ABORTED,
}


class Generation:
    """Follows one request from its arrival; `on_event` in the engine's order, then `close` whatever happened."""

    def __init__(self, request: GenerationRequest, arrived_ns: int, clock: Clock) -> None:
        self.finished = False
        self._request = request
        self._arrived_ns = arrived_ns
        self._clock = clock
        self._kind = kind_of(request.priority)
        self._queue_ms = 0.0
        self._first_ns: int | None = None
        self._text: list[str] = []

    def on_event(self, event: Event, queue_ms: float) -> pb.GenerateResponse:
        """The response for an event. Raises TrunklineError when finished output is not what the schema says."""
        match event:
            case Started():
                self._queue_ms = queue_ms
                return pb.GenerateResponse(started=self._started(event))
            case Delta(text):
                if self._request.schema is not None:
                    self._text.append(text)
                return pb.GenerateResponse(delta=pb.Delta(text=text))
            case Finished():
                return pb.GenerateResponse(finished=self._finish(event))

    def close(self) -> None:
        """The RPC is over; without Finished, the caller went away (or was refused: counted by its cause)."""
        if not self.finished and self._first_ns is not None:
            ABORTED.labels(cause="cancelled").inc()

    def _started(self, event: Started) -> pb.Started:
        self._first_ns = self._clock.now_ns()
        ttft_ms = (self._first_ns - self._arrived_ns) / 1e6
        TTFT_SECONDS.labels(kind=self._kind).observe(ttft_ms / 1000)
        PROMPT_TOKENS.labels(source="cached").inc(event.cached_tokens)
        PROMPT_TOKENS.labels(source="computed").inc(event.prompt_tokens - event.cached_tokens)
        return pb.Started(
            queue_ms=self._queue_ms,
            prefill_ms=event.prefill_ms,
            prompt_tokens=event.prompt_tokens,
            cached_tokens=event.cached_tokens,
        )

    def _finish(self, event: Finished) -> pb.Finished:
        self.finished = True
        now_ns = self._clock.now_ns()
        COMPLETION_TOKENS.inc(event.completion_tokens)
        if event.reason is FinishReason.ABORTED:
            ABORTED.labels(cause="preempted").inc()
        elif self._first_ns is not None and event.completion_tokens > 1:
            decode_s = max(1e-6, (now_ns - self._first_ns) / 1e9)
            TOKENS_PER_S.observe((event.completion_tokens - 1) / decode_s)
        if self._request.schema is not None and event.reason is FinishReason.STOP:
            self._check()
        total_ms = (now_ns - self._arrived_ns) / 1e6
        return pb.Finished(
            reason=_REASONS[event.reason],
            prompt_tokens=event.prompt_tokens,
            completion_tokens=event.completion_tokens,
            cached_tokens=event.cached_tokens,
            timings=common_pb2.Timings(
                queue_ms=self._queue_ms, compute_ms=total_ms - self._queue_ms, total_ms=total_ms
            ),
        )

    def _check(self) -> None:
        if self._request.schema is None:
            return
        try:
            check_output(self._request.schema, "".join(self._text))
        except TrunklineError:
            ABORTED.labels(cause="schema").inc()
            raise
