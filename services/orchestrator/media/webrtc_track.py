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
# The track follows the ticker by this much: enough for the ticker's jitter, little enough to be no wait.
_PHASE_NS = 3_000_000
_TIME_BASE = fractions.Fraction(1, RTP_RATE_HZ)


class FrameSource(Protocol):
    """Where the track gets its audio."""

    def take(self) -> bytes | None:
        """The 20 ms that leave now at the encoder's rate, or None for silence."""
        ...


class PacedTrack(MediaStreamTrack):
    """aiortc asks for the next packet as soon as the last one left; pacing is this `recv`.

    The rhythm follows the ticker: audio that arrives on an empty queue shows the ticker's phase, and packets leave
    a little after it from then on, so that an utterance does not wait up to 20 ms for a second clock.
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
        self._ticker_ns: int | None = None
        self._pts = 0

    def follow(self, ticker_ns: int) -> None:
        """The ticker put audio on an empty queue at `ticker_ns`: keep its phase from the next packet on."""
        self._ticker_ns = ticker_ns

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
        if self._ticker_ns is not None:
            # Half a tick to one and a half from the last packet: never two at once.
            ahead = (self._ticker_ns + _PHASE_NS - now - _TICK_NS // 2) % _TICK_NS + _TICK_NS // 2
            self._due_ns, self._ticker_ns = now + ahead, None
        late = now - self._due_ns
        if late > _MAX_LATE_NS:
            skipped = late // _TICK_NS
            self._due_ns += skipped * _TICK_NS
            self._pts += skipped * RTP_SAMPLES_PER_FRAME
        await self._clock.sleep_until_ns(self._due_ns)
        self._due_ns += _TICK_NS
