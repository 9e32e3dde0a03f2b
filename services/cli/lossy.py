"""A bad line, decided packet by packet: loss (single or in bursts), jitter, silence suppression. No I/O, no clock.

Bursts follow Gilbert's two-state model (Gilbert 1960, simplified: in the bad state everything is lost); `burst_packets`
is the mean length of a run of lost packets. The same seed loses the same packets.
"""

import random
from dataclasses import dataclass

from services.common.errors import InvalidInputError

_MS = 1_000_000
_RTP_HEADER = 12
_MARKER = 0x80


@dataclass(frozen=True, slots=True)
class LineQuality:
    """How bad a line is. `loss` is a share of packets (0.03: 3 %), `jitter_ms` the most a packet is held back."""

    loss: float = 0.0
    burst_packets: float = 1.0
    # Each packet is held for a time drawn evenly from 0 to this; a queue in a network keeps its order.
    jitter_ms: float = 0.0
    # Held packets may overtake each other instead.
    reorder: bool = False
    # A peer with silence suppression: packets that hold G.711 silence are not sent (RFC 3389 §1, without noise).
    dtx: bool = False
    seed: int = 1

    def __post_init__(self) -> None:
        """Raises InvalidInputError for what no line can be."""
        if not 0 <= self.loss < 1:
            raise InvalidInputError("loss", expected="0 to below 1", got=str(self.loss))
        if self.burst_packets < 1:
            raise InvalidInputError("burst_packets", expected="1 or more", got=str(self.burst_packets))
        if self.jitter_ms < 0:
            raise InvalidInputError("jitter_ms", expected="0 or more", got=str(self.jitter_ms))


class LossyLine:
    """One direction of one call. Ask `due_ns` once per packet, in the order they were sent."""

    def __init__(self, quality: LineQuality) -> None:
        self.quality = quality
        self.passed = 0
        self.lost = 0
        self.suppressed = 0
        # Packets seen before the first passed and the positions lost since: the truth a test compares with.
        self.lost_at: list[int] = []
        self._random = random.Random(quality.seed)
        self._bad = False
        self._last_due_ns = 0
        self._in_silence = False

    def due_ns(self, now_ns: int) -> int | None:
        """When the packet that was sent at `now_ns` arrives; None: never."""
        if self._loses():
            self.lost_at.append(self.passed + self.lost)
            self.lost += 1
            return None
        self.passed += 1
        if not self.quality.jitter_ms:
            return now_ns
        due_ns = now_ns + int(self._random.random() * self.quality.jitter_ms * _MS)
        if not self.quality.reorder:
            # Never two at the same moment: a timer queue does not keep the order of equals.
            due_ns = self._last_due_ns = max(due_ns, self._last_due_ns + 1000)
        return due_ns

    def sent(self, packet: bytes) -> bytes | None:
        """What a peer with silence suppression sends of an RTP packet: nothing in silence, a marker after it."""
        if not self.quality.dtx:
            return packet
        if is_silent(packet):
            self.suppressed += 1
            self._in_silence = True
            return None
        if self._in_silence:
            self._in_silence = False
            return packet[:1] + bytes([packet[1] | _MARKER]) + packet[2:]
        return packet

    def _loses(self) -> bool:
        loss, burst = self.quality.loss, self.quality.burst_packets
        if not loss:
            return False
        if burst <= 1:
            return self._random.random() < loss
        leave_bad, enter_bad = 1 / burst, loss / (burst * (1 - loss))
        self._bad = self._random.random() >= leave_bad if self._bad else self._random.random() < enter_bad
        return self._bad


def is_silent(packet: bytes) -> bool:
    """An RTP packet of G.711 whose samples are all the smallest there is (one value repeated, 0xD5/0x55/0xFF/0x7F)."""
    values = set(packet[_RTP_HEADER:])
    return len(packet) > _RTP_HEADER and packet[1] & 0x7F in (0, 8) and values <= {0xD5, 0x55, 0xFF, 0x7F}
