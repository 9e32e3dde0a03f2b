"""RTP packets of a browser in order, at once: no jitter buffer, because nobody plays this audio out.

A listener that recognises speech loses by every millisecond of a playout buffer and gains nothing from an even
rhythm. aiortc's buffer holds 80 ms back always, and after one lost packet 280 ms for the rest of the call; so
packets are taken where they enter it. Only disorder is waited for, `reorder_packets` long, then the gap is told.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

from services.common.errors import TrunklineError
from services.orchestrator.media.opus_packet import packet_samples
from services.orchestrator.media.webrtc_audio import RTP_SAMPLES_PER_FRAME

_SEQ = 1 << 16
_TS = 1 << 32
# Further apart than this is another stream (a restarted sender), not disorder.
_MAX_JUMP = 1000
# A hole is never said to be longer (10 s at 48 kHz), whatever timestamps come.
_MAX_HOLE = 480_000
# Nor is a packet held longer: before a pause of the sender the next one may come in half a second.
_HELD_NS = 80_000_000


@dataclass(frozen=True, slots=True)
class Audio:
    """One packet in its turn."""

    payload: bytes
    received_ns: int


@dataclass(frozen=True, slots=True)
class Gap:
    """`samples` (48 kHz) that never came, known at `received_ns`; `lost_packets` 0: the sender left the time out."""

    samples: int
    received_ns: int
    lost_packets: int
    # The packet after the hole.
    following: bytes


@dataclass(frozen=True, slots=True)
class _Packet:
    timestamp: int
    payload: bytes
    received_ns: int


class Reorder:
    """Puts packets in sequence; declares a hole lost when `reorder_packets` later ones have come, or one has waited."""

    def __init__(self, reorder_packets: int = 2) -> None:
        self.lost = 0
        self.late = 0
        self._reorder_packets = reorder_packets
        self._waiting: dict[int, _Packet] = {}
        self._next_seq: int | None = None
        self._next_ts = 0
        self._ssrc = 0

    def push(self, *, ssrc: int, seq: int, timestamp: int, payload: bytes, received_ns: int) -> Iterator[Audio | Gap]:
        """What can be delivered now that this packet has come."""
        ahead = 0 if self._next_seq is None else (seq - self._next_seq) % _SEQ
        if self._next_seq is None or ssrc != self._ssrc or _MAX_JUMP < ahead < _SEQ - _MAX_JUMP:
            self._ssrc, self._next_seq, self._next_ts = ssrc, seq, timestamp
            self._waiting.clear()
        elif ahead >= _SEQ - _MAX_JUMP:
            self.late += 1
            return
        self._waiting[seq] = _Packet(timestamp, payload, received_ns)
        yield from self._in_order()
        if len(self._waiting) > self._reorder_packets:
            yield from self._skip_hole()

    @property
    def waiting(self) -> bool:
        """Packets are held because earlier ones are missing."""
        return bool(self._waiting)

    def expire(self, now_ns: int) -> Iterator[Audio | Gap]:
        """What can be delivered because it has waited long enough."""
        while any(now_ns - packet.received_ns >= _HELD_NS for packet in self._waiting.values()):
            yield from self._skip_hole()

    def _in_order(self, lost_packets: int = 0) -> Iterator[Audio | Gap]:
        while self._next_seq is not None and (packet := self._waiting.pop(self._next_seq, None)) is not None:
            hole = (packet.timestamp - self._next_ts) % _TS
            if 0 < hole < _TS // 2:
                yield Gap(min(hole, _MAX_HOLE), packet.received_ns, lost_packets, packet.payload)
            lost_packets = 0
            yield Audio(packet.payload, packet.received_ns)
            self._next_seq = (self._next_seq + 1) % _SEQ
            duration = packet_samples(packet.payload) or RTP_SAMPLES_PER_FRAME
            self._next_ts = (packet.timestamp + duration) % _TS

    def _skip_hole(self) -> Iterator[Audio | Gap]:
        start = self._next_seq or 0
        nearest = min(self._waiting, key=lambda seq: (seq - start) % _SEQ)
        lost_packets = (nearest - start) % _SEQ
        self.lost += lost_packets
        self._next_seq = nearest
        yield from self._in_order(lost_packets)


class RtpPacket(Protocol):
    """The fields of aiortc's RtpPacket that we read."""

    sequence_number: int
    timestamp: int
    ssrc: int
    payload: bytes


class PacketTap:
    """Takes the place of aiortc's jitter buffer: sees each packet after SRTP and RTCP statistics, keeps none."""

    def __init__(self, on_packet: Callable[[RtpPacket], None]) -> None:
        self._on_packet = on_packet

    def add(self, packet: RtpPacket) -> tuple[bool, None]:
        """The one method aiortc's receiver calls; returns no frame, so its decoder thread stays idle."""
        self._on_packet(packet)
        return False, None


def install_tap(receiver: Any, on_packet: Callable[[RtpPacket], None]) -> None:
    """Deliver every RTP packet of `receiver` (an RTCRtpReceiver) to `on_packet`, on the event loop.

    aiortc offers no such hook, so this is the one place that touches its private state; a version that keeps
    it elsewhere is refused here, loudly, and by a test against the real library.
    """
    name = "_RTCRtpReceiver__jitter_buffer"
    if not hasattr(receiver, name):
        _unknown_aiortc(name)
    setattr(receiver, name, PacketTap(on_packet))


def _unknown_aiortc(name: str) -> NoReturn:
    raise TrunklineError(
        f"This aiortc keeps its jitter buffer elsewhere ({name} is gone).",
        remedy="Install the version named in pyproject.toml.",
    )
