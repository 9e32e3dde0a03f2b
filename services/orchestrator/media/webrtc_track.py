"""The track a browser leg sends: one Opus packet every 20 ms, audio when there is some, silence when not."""

import fractions
from collections.abc import Callable
from typing import Any, Protocol

from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av.packet import Packet

from services.common.clock import Clock
from services.orchestrator.media.leg import FRAME_MS
from services.orchestrator.media.webrtc_audio import RTP_RATE_HZ, RTP_SAMPLES_PER_FRAME, OpusEncoder

_TICK_NS = FRAME_MS * 1_000_000
# Later than this, packets are skipped (RTP time goes on) instead of sent in a burst.
_MAX_LATE_NS = 5 * _TICK_NS
_TIME_BASE = fractions.Fraction(1, RTP_RATE_HZ)


class FrameSource(Protocol):
    """Where the track gets its audio."""

    def take(self) -> bytes | None:
        """The 20 ms that leave now at the encoder's rate, or None for silence."""
        ...


class PacedTrack(MediaStreamTrack):
    """aiortc asks for the next packet as soon as the last one left; pacing is this `recv`.

    The rhythm never bends: a packet sent early is played no earlier, it only fills the listener's jitter buffer.
    """

    kind = "audio"

    def __init__(
        self, source: FrameSource, encoder: OpusEncoder, clock: Clock, on_sent: Callable[[int, bool], None]
    ) -> None:
        super().__init__()
        self._source = source
        self._encoder = encoder
        self._clock = clock
        self._on_sent = on_sent
        self._due_ns = 0
        self._pts = 0

    async def recv(self) -> "Packet[Any]":
        """The packet that leaves now. Raises MediaStreamError when the track is stopped."""
        await self._wait()
        if self.readyState != "live":
            raise MediaStreamError
        frame = self._source.take()
        packet = Packet(self._encoder.encode(frame))
        packet.pts = self._pts
        packet.time_base = _TIME_BASE
        self._pts += RTP_SAMPLES_PER_FRAME
        self._on_sent(self._clock.now_ns(), frame is not None)
        return packet

    async def _wait(self) -> None:
        now = self._clock.now_ns()
        if not self._due_ns:
            self._due_ns = now
        late = now - self._due_ns
        if late > _MAX_LATE_NS:
            skipped = late // _TICK_NS
            self._due_ns += skipped * _TICK_NS
            self._pts += skipped * RTP_SAMPLES_PER_FRAME
        await self._clock.sleep_until_ns(self._due_ns)
        self._due_ns += _TICK_NS
