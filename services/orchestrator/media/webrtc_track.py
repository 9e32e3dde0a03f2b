"""The track a browser leg sends: one Opus packet every 20 ms while there is audio; in silence next to nothing."""

import asyncio
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
# In a pause one packet so often (as libopus does): the listener and every NAT on the way see that we are there.
_REFRESH_NS = 400_000_000
_TIME_BASE = fractions.Fraction(1, RTP_RATE_HZ)


class FrameSource(Protocol):
    """Where the track gets its audio."""

    @property
    def empty(self) -> bool:
        """Nothing waits to leave."""
        ...

    def take(self) -> bytes | None:
        """The 20 ms that leave now at the encoder's rate, or None for silence."""
        ...


class PacedTrack(MediaStreamTrack):
    """aiortc asks for the next packet as soon as the last one left; pacing is this `recv`.

    While audio flows the rhythm never bends: a packet sent early is played no earlier, it only fills the listener's
    jitter buffer. After 200 ms of silence the track pauses (DTX, RFC 7587 §3.1.3): one packet in 400 ms, until `wake`
    says that there is audio, which then leaves at once. RTP time is the clock's throughout.
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
        # Set while a pause lasts; done when it is over.
        self._pause: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """There is audio: a pause is over. Cheap, and harmless when there is no pause."""
        if self._pause is not None and not self._pause.done():
            self._pause.set_result(None)

    def stop(self) -> None:
        """The track ends; who waits in `recv` is told at once."""
        super().stop()
        self.wake()

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
        if self._encoder.settled and self._source.empty and self.readyState == "live":
            await self._rest()
            return
        late = now - self._due_ns
        if late > _MAX_LATE_NS:
            skipped = late // _TICK_NS
            self._due_ns += skipped * _TICK_NS
            self._pts += skipped * RTP_SAMPLES_PER_FRAME
        await self._clock.sleep_until_ns(self._due_ns)
        self._due_ns += _TICK_NS

    async def _rest(self) -> None:
        """Until there is audio, or the next sign of life is due."""
        self._pause = asyncio.get_running_loop().create_future()
        refresh = asyncio.ensure_future(self._clock.sleep_until_ns(self._due_ns - _TICK_NS + _REFRESH_NS))
        try:
            await asyncio.wait({self._pause, refresh}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            refresh.cancel()
            self._pause.cancel()
            self._pause = None
        # The packet after a pause sets the rhythm anew; whole milliseconds, for what counts in them.
        now = self._clock.now_ns()
        rested_ms = max(0, now - self._due_ns) // 1_000_000
        self._pts += rested_ms * RTP_RATE_HZ // 1000
        self._due_ns = max(now, self._due_ns) + _TICK_NS
