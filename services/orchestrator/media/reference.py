"""What we sent, and when: the far end of an echo canceller, from the frames a leg was given and its reports.

    play(frame) ──▶ pending ──report(sent, at)──▶ chunks (time, PCM at the tx rate) ──read──▶ 16 kHz, aligned

A frame that was flushed never becomes a chunk. Nothing is resampled until somebody reads, so a call without echo
pays for a few list operations per 20 ms while the agent speaks and for nothing else. No I/O, no clock.
"""

from collections import deque

import numpy as np

from services.orchestrator.media.audio import MODEL_RATE_HZ, Resampler, Samples

# What is kept for somebody who looks back: the longest echo delay, and the stretch that is compared.
KEEP_MS = 1_200
# Frames handed to a leg and not reported yet; it holds 60 ms at most, so older ones were lost.
_MAX_PENDING = 5
# A report within this of where the last chunk ended continues it: reports are late by a poll, packets are not.
_CONTINUES_NS = 60_000_000


class Reference:
    """One leg's outgoing audio. Times are the leg's reports' (ns); `end_ns` is when the last sample left."""

    def __init__(self, rate_hz: int) -> None:
        self.end_ns = 0
        self._keep = KEEP_MS * MODEL_RATE_HZ // 1000
        self._ring: Samples = np.zeros(self._keep, np.int16)
        self.set_rate(rate_hz)

    def set_rate(self, rate_hz: int) -> None:
        """The leg's tx rate changed; its counts begin again."""
        self.rate_hz = rate_hz
        self._resampler = Resampler(rate_hz)
        self._pending: deque[bytes] = deque(maxlen=_MAX_PENDING)
        # Sent, not resampled yet: (when its last sample left, PCM).
        self._chunks: deque[tuple[int, bytes]] = deque(maxlen=KEEP_MS // 20)
        self._sent: int | None = None
        self._flushed = False
        # 16 kHz samples since the clock's zero, up to which the ring is written.
        self._written = 0
        self._resampled_ns = 0

    def play(self, frame: bytes) -> None:
        """A frame was handed to the leg."""
        if self._flushed:
            # Handed over after the flush: what waits from before it is gone.
            self._pending.clear()
            self._flushed = False
        self._pending.append(frame)

    def clear(self) -> None:
        """The leg was told to throw away what it holds; its next report counts what was sent before that."""
        self._flushed = True

    def report(self, sent: int, at_ns: int) -> bool:
        """The leg has sent so many samples in all. True when that is more than before."""
        grown = 0 if self._sent is None else sent - self._sent
        if self._sent is None and self._pending:
            grown = min(sent, sum(map(len, self._pending)) // 2)
        self._sent = sent
        taken = self._take(2 * grown) if grown > 0 else b""
        if self._flushed:
            self._pending.clear()
            self._flushed = False
        if not taken:
            return False
        length_ns = len(taken) // 2 * 1_000_000_000 // self.rate_hz
        continued_ns = self.end_ns + length_ns
        self.end_ns = continued_ns if abs(at_ns - continued_ns) <= _CONTINUES_NS else at_ns
        self._chunks.append((self.end_ns, taken))
        return True

    def read(self, end: int, samples: int) -> Samples:
        """`samples` up to position `end` (16 kHz samples since the clock's zero); zeros where nothing was sent."""
        while self._chunks:
            self._resample(*self._chunks.popleft())
        out = np.zeros(samples, np.int16)
        first = max(end - samples, self._written - self._keep)
        last = min(end, self._written)
        if first < last:
            at = np.arange(first, last) % self._keep
            out[first - end + samples : last - end + samples] = self._ring[at]
        return out

    def _take(self, size: int) -> bytes:
        parts = []
        while size > 0 and self._pending:
            frame = self._pending.popleft()
            if len(frame) > size:
                self._pending.appendleft(frame[size:])
                frame = frame[:size]
            size -= len(frame)
            parts.append(frame)
        return b"".join(parts)

    def _resample(self, end_ns: int, pcm: bytes) -> None:
        samples = self._resampler.push(np.frombuffer(pcm, "<i2"))
        start = position(end_ns) - len(samples)
        if 0 <= start - self._written <= 16 or 0 < self._written - start <= 16:
            # Rounding of times, not a gap.
            start = self._written
        start = max(start, self._written)
        gap = min(start - self._written, self._keep)
        self._ring[np.arange(start - gap, start) % self._keep] = 0
        samples = samples[-self._keep :]
        self._ring[np.arange(start, start + len(samples)) % self._keep] = samples
        self._written = start + len(samples)


def position(at_ns: int) -> int:
    """The moment in 16 kHz samples since the clock's zero."""
    return at_ns * (MODEL_RATE_HZ // 1000) // 1_000_000
