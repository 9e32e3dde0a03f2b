"""What is heard of a browser: packets and ticks in, PCM in order out, nothing missing and nothing twice. Sans-I/O.

    packet ──▶ Reorder ──audio──▶ OpusDecoder ──▶ PCM
                  └─────hole────▶ SilenceFill (how long) ──▶ OpusDecoder.conceal ──▶ PCM
    tick ────▶ SilenceFill (how long nothing came) ──▶ silence, or concealed where no pause was announced

Sequence numbers tell what was lost, timestamps tell what the sender left out (RFC 7587 §4.2, DTX §3.1.3).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from services.orchestrator.media.opus_packet import packet_samples
from services.orchestrator.media.webrtc_audio import RTP_SAMPLES_PER_FRAME, OpusDecoder
from services.orchestrator.media.webrtc_receive import Audio, Gap, Reorder
from services.orchestrator.media.webrtc_silence import SilenceFill


@dataclass(frozen=True, slots=True)
class Heard:
    """PCM s16le mono at 16 kHz that ends at `at_ns`."""

    pcm: bytes
    at_ns: int


class BrowserEar:
    """One per leg."""

    def __init__(self) -> None:
        self._reorder = Reorder()
        self._silence = SilenceFill()
        self._decoder = OpusDecoder()

    @property
    def lost(self) -> int:
        """Packets that never came."""
        return self._reorder.lost

    @property
    def late(self) -> int:
        """Packets that came after their place was filled, or twice."""
        return self._reorder.late

    @property
    def errors(self) -> int:
        """Packets that were no Opus."""
        return self._decoder.errors

    def begin(self, now_ns: int) -> None:
        """Media flows from here: what does not come is silence."""
        self._silence.begin(now_ns)

    def packet(self, *, ssrc: int, seq: int, timestamp: int, payload: bytes, received_ns: int) -> Iterator[Heard]:
        """An RTP packet came."""
        yield from self._heard(
            self._reorder.push(ssrc=ssrc, seq=seq, timestamp=timestamp, payload=payload, received_ns=received_ns)
        )

    def tick(self, now_ns: int) -> Iterator[Heard]:
        """Every 20 ms: what a caller who sends nothing does not say."""
        yield from self._heard(self._reorder.expire(now_ns))
        # What is held will tell how long the hole was.
        if not self._reorder.waiting and (due := self._silence.due(now_ns)):
            pcm = self._decoder.silence(due) if self._silence.announced else self._decoder.missing(due)
            yield Heard(pcm, now_ns)

    def _heard(self, items: Iterable[Audio | Gap]) -> Iterator[Heard]:
        for item in items:
            if isinstance(item, Gap):
                samples = packet_samples(item.following) or RTP_SAMPLES_PER_FRAME
                if owed := self._silence.gap(item.samples, samples, item.received_ns):
                    pcm = self._decoder.conceal(owed, item.lost_packets, item.following)
                    yield Heard(pcm, item.received_ns)
                continue
            samples = packet_samples(item.payload) or RTP_SAMPLES_PER_FRAME
            if paused := self._silence.audio(item.payload, samples, item.received_ns):
                yield Heard(self._decoder.silence(paused), item.received_ns)
            yield Heard(self._decoder.decode(item.payload), item.received_ns)
