"""What a browser leg plays: a short bounded queue of 20 ms frames, and exact counts of what left.

Sans-I/O: the outgoing track takes one frame per packet, the ticker puts frames in, and `Playout` says how far
playing has come. Nothing here awaits or reads time, so its tests need neither a peer nor a sleep.
"""

from collections import deque

from services.orchestrator.media.leg import FRAME_MS, Playout


class PlayoutQueue:
    """At most `committed_ms` of frames; more is refused, never queued, so that a flush is immediate.

    `starved` counts silence inside an utterance: packets of silence that were followed by more audio before
    `clear` and within `gap_frames`. A longer silence is a pause between utterances and was nobody's fault.
    """

    def __init__(self, rate_hz: int, committed_ms: int, gap_frames: int = 10) -> None:
        self.rate_hz = rate_hz
        self.samples_per_frame = rate_hz * FRAME_MS // 1000
        self.frame_bytes = self.samples_per_frame * 2
        self.refused = 0
        self._limit = committed_ms // FRAME_MS
        self._gap_frames = gap_frames
        self._frames: deque[bytes] = deque()
        self._sent = 0
        self._starved = 0
        # Packets of silence sent since the last audio; None: no utterance is open.
        self._silent_run: int | None = None

    @property
    def empty(self) -> bool:
        """Nothing is committed."""
        return not self._frames

    def put(self, frame: bytes) -> bool:
        """Commit one frame of exactly 20 ms. False (and counted in `refused`) when it does not fit."""
        if len(frame) != self.frame_bytes or len(self._frames) >= self._limit:
            self.refused += 1
            return False
        self._frames.append(frame)
        return True

    def take(self) -> bytes | None:
        """The frame that leaves now, or None for a packet of silence."""
        if self._frames:
            self._starved += (self._silent_run or 0) * self.samples_per_frame
            self._silent_run = 0
            self._sent += self.samples_per_frame
            return self._frames.popleft()
        if self._silent_run is not None:
            self._silent_run += 1
            if self._silent_run > self._gap_frames:
                self._silent_run = None
        return None

    def clear(self) -> None:
        """Throw away what is queued; the utterance is over, so silence from here on is no underrun."""
        self._frames.clear()
        self._silent_run = None

    def state(self) -> Playout:
        """Counts over the whole leg, in samples at `rate_hz`."""
        return Playout(sent=self._sent, queued=len(self._frames) * self.samples_per_frame, starved=self._starved)
