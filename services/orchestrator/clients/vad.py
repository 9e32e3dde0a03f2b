"""The VAD for all calls of this process over ONE stream: frames that are due travel in one message.

A stream that breaks is opened again with backoff; every call's numbering restarts with it, so a restart of the
service costs the calls some frames and nothing else. What waits is bounded; the drop rule is oldest first.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

import grpc.aio

from services.common.clock import Clock, sleep_s
from services.common.errors import UnavailableError
from services.common.log import get_logger
from services.common.metrics import DROPPED_MS
from services.common.rpc_client import from_rpc_error
from services.orchestrator.clients.backoff import Backoff
from services.orchestrator.clients.wire import receive, why_ended
from services.orchestrator.media.audio import ModelFrame
from services.pb.trunkline.vad.v1 import vad_pb2 as pb
from services.pb.trunkline.vad.v1 import vad_pb2_grpc as rpc

log = get_logger(__name__)

FRAME_MS = 32
# Frames of one call that may await their detection; older ones are dropped.
MAX_PENDING_FRAMES = 32
# With frames waiting this long for an answer the stream is dead, whatever TCP says.
STALL_MS = 1_500
PREDICT_DEADLINE_S = 1.0
# Least time between two messages: fifty calls cost no more messages than two.
GATHER_NS = 12_000_000


class VadSink(Protocol):
    """Where detections of one call go; called on the event loop."""

    def on_vad(self, frame: ModelFrame, probability: float) -> None:
        """One frame was judged."""
        ...

    def on_vad_state(self, up: bool, code: str) -> None:
        """The service went away (`up` false) or came back."""
        ...


@dataclass(slots=True)
class VadCall:
    """One call's place in the stream."""

    call_id: str
    sink: VadSink
    seq: int = 0
    pending: deque[tuple[int, ModelFrame]] = field(default_factory=deque)


class VadClient:
    """`open` a call, `push` its frames, `close` it. `run` keeps the stream until cancelled."""

    def __init__(self, channel: grpc.aio.Channel, clock: Clock) -> None:
        self._stub = rpc.VadServiceStub(channel)
        self._clock = clock
        self._calls: dict[str, VadCall] = {}
        # What leaves next, built in place.
        self._request = pb.DetectRequest()
        self._wake = asyncio.Event()
        self._waiting_since_ns: int | None = None
        self.up = False

    def open(self, call_id: str, sink: VadSink) -> VadCall:
        """Begin a call."""
        call = self._calls[call_id] = VadCall(call_id, sink)
        return call

    def close(self, call: VadCall) -> None:
        """The call hung up: the service frees its state."""
        if self._calls.pop(call.call_id, None) is not None and self.up:
            self._request.closed_call_ids.append(call.call_id)
            self._wake.set()

    def push(self, call: VadCall, frame: ModelFrame) -> None:
        """Ask about one frame. While the service is away, frames are dropped and counted."""
        if not self.up:
            DROPPED_MS.labels(queue="vad").inc(FRAME_MS)
            return
        if len(call.pending) >= MAX_PENDING_FRAMES:
            call.pending.popleft()
            DROPPED_MS.labels(queue="vad").inc(FRAME_MS)
        call.pending.append((call.seq, frame))
        self._request.frames.add(call_id=call.call_id, seq=call.seq, pcm=frame.pcm)
        call.seq += 1
        self._wake.set()

    async def predict_turn(self, call_id: str, pcm: bytes) -> float:
        """p(complete) of up to 8 s of 16 kHz audio. Raises TrunklineError."""
        request = pb.PredictTurnRequest(call_id=call_id, pcm=pcm, sample_rate_hz=16_000)
        try:
            answer = await self._stub.PredictTurn(request, timeout=PREDICT_DEADLINE_S)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        return answer.complete_probability

    async def run(self) -> None:
        """Keep one stream open until cancelled; calls are told when it goes and comes."""
        backoff = Backoff()
        while True:
            code = await self._stream(backoff)
            self._set_state(False, code)
            await sleep_s(self._clock, backoff.next_ms() / 1000)

    async def _stream(self, backoff: Backoff) -> str:
        """One stream from beginning to end; says why it ended."""
        stream = self._stub.Detect()
        try:
            # The service answers every request: an empty one proves that it is there.
            await stream.write(pb.DetectRequest())
            if await receive(stream) is None:
                return "EOF"
            backoff.reset()
            self._restart_numbering()
            self._set_state(True, "OK")
            writer = asyncio.create_task(self._write(stream))
            watchdog = asyncio.create_task(self._watch(stream))
            try:
                await self._read(stream)
            finally:
                writer.cancel()
                watchdog.cancel()
                await asyncio.gather(writer, watchdog, return_exceptions=True)
            return "EOF"
        except grpc.aio.AioRpcError as error:
            return why_ended(error)
        except (UnavailableError, asyncio.InvalidStateError):
            return "UNAVAILABLE"
        finally:
            stream.cancel()

    async def _write(self, stream: "grpc.aio.StreamStreamCall[pb.DetectRequest, pb.DetectResponse]") -> None:
        written_ns = 0
        while True:
            await self._wake.wait()
            # Legs deliver at different moments: frames that are due together travel together.
            if self._clock.now_ns() < written_ns + GATHER_NS:
                await self._clock.sleep_until_ns(written_ns + GATHER_NS)
            self._wake.clear()
            written_ns = self._clock.now_ns()
            request, self._request = self._request, pb.DetectRequest()
            if self._waiting_since_ns is None:
                self._waiting_since_ns = written_ns
            try:
                await stream.write(request)
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                # The reader sees the same end, with its status.
                return

    async def _read(self, stream: "grpc.aio.StreamStreamCall[pb.DetectRequest, pb.DetectResponse]") -> None:
        while True:
            response = await receive(stream)
            if response is None:
                return
            self._waiting_since_ns = None
            for error in response.errors:
                log.warning("vad frame refused", call_id=error.call_id, seq=error.seq)
            for detection in response.detections:
                self._deliver(detection)

    def _deliver(self, detection: pb.Detection) -> None:
        call = self._calls.get(detection.call_id)
        if call is None:
            return
        answered = detection.seq
        while call.pending and call.pending[0][0] <= answered:
            seq, frame = call.pending.popleft()
            if seq == answered:
                call.sink.on_vad(frame, detection.speech_probability)

    async def _watch(self, stream: "grpc.aio.StreamStreamCall[pb.DetectRequest, pb.DetectResponse]") -> None:
        while True:
            await sleep_s(self._clock, STALL_MS / 2000)
            since_ns = self._waiting_since_ns
            if since_ns is not None and self._clock.now_ns() - since_ns > STALL_MS * 1_000_000:
                log.warning("vad stream stalled")
                stream.cancel()
                return

    def _restart_numbering(self) -> None:
        self._request = pb.DetectRequest()
        self._waiting_since_ns = None
        for call in self._calls.values():
            call.seq = 0
            call.pending.clear()

    def _set_state(self, up: bool, code: str) -> None:
        if up == self.up:
            return
        self.up = up
        log.info("vad stream up" if up else "vad stream lost", code=code)
        for call in list(self._calls.values()):
            call.sink.on_vad_state(up, code)
