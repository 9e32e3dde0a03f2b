"""What became of a leg's outgoing audio: sent, queued, flushed, starved, counted in samples.

The engine's transmit ring tells how full it is, how many bytes a flush threw away and how many frames it padded
with silence; what was written is known here. From these the ledger derives what really left for the wire, which is
what the dialogue's history of heard words rests on.
"""

from dataclasses import dataclass, field

# Silence between two pieces of audio that lasted longer than this was meant: one utterance ended, another began.
UNDERRUN_LIMIT_MS = 200


@dataclass(slots=True)
class RingCounters:
    """One reading of the engine's rings; samples, frames and bytes count since the streams of `epoch` began."""

    epoch: int = 0
    fill: int = 0
    flushed: int = 0
    silence_frames: int = 0
    starved_frames: int = 0
    # Bytes of received audio the engine threw away because nobody read them.
    rx_dropped: int = 0


@dataclass(slots=True)
class FrameLedger:
    """Accounting of one leg over its whole life, through re-INVITEs that replace the engine's ring.

    `rate_hz` is the tx rate; `frame_samples` is what the engine sends per packet. Pure: fed with `wrote` and
    `observe`, asked through its properties.
    """

    rate_hz: int
    frame_samples: int
    # Samples accepted from the client, over the life of the leg.
    accepted: int = 0
    flushed: int = 0
    starved: int = 0
    _fill: int = 0
    _epoch_accepted: int = 0
    _epoch_flushed: int = 0
    _last: RingCounters = field(default_factory=RingCounters)
    # Silence counted when audio was last accepted: what grew since was a gap.
    _silence_mark: int = 0
    _partial_mark: int = 0
    # Samples since audio last began, to know how much of a partial frame was padded.
    _phase: int = 0
    _open: bool = False

    @property
    def sent(self) -> int:
        """Samples of client audio handed to the wire; flushed ones are not counted."""
        return self.accepted - self.flushed - self._fill

    @property
    def queued(self) -> int:
        """Samples accepted and still in the ring."""
        return self._fill

    def room(self, limit_ms: int) -> int:
        """Samples that may still be accepted so that at most `limit_ms` are queued."""
        return max(0, self.rate_hz * limit_ms // 1000 - self._fill)

    def observe(self, ring: RingCounters) -> None:
        """Take in a reading of the ring."""
        if ring.epoch != self._last.epoch:
            raise ValueError(f"ring epoch {ring.epoch} while the ledger counts {self._last.epoch}: rebase first")
        self.flushed += ring.flushed - self._epoch_flushed
        self._epoch_flushed = ring.flushed
        self._fill = ring.fill
        self._last.silence_frames = ring.silence_frames
        self._last.starved_frames = ring.starved_frames

    def wrote(self, samples: int) -> None:
        """The client's next `samples` went into the ring; closes a gap and counts it where it was an underrun."""
        gap = (self._last.silence_frames - self._silence_mark) * self.frame_samples
        if self._last.starved_frames > self._partial_mark:
            gap += -self._phase % self.frame_samples
        if gap:
            if self._open and gap * 1000 <= UNDERRUN_LIMIT_MS * self.rate_hz:
                self.starved += gap
            self._phase = 0
        self._silence_mark = self._last.silence_frames
        self._partial_mark = self._last.starved_frames
        self._open = True
        self._phase += samples
        self.accepted += samples
        self._fill += samples

    def cleared(self) -> None:
        """The utterance was cut on purpose: the silence that follows is no underrun."""
        self._open = False

    def rebase(self, ring: RingCounters, rate_hz: int, frame_samples: int) -> None:
        """The engine replaced the ring (re-INVITE, hold): what was still in the old one is lost.

        A change of rate restates the totals in samples of the new rate, so that their durations stay true.
        """
        self.flushed += self._fill
        if rate_hz != self.rate_hz:
            for name in ("accepted", "flushed", "starved"):
                setattr(self, name, getattr(self, name) * rate_hz // self.rate_hz)
        self.rate_hz, self.frame_samples = rate_hz, frame_samples
        self._fill = ring.fill
        self._epoch_flushed = ring.flushed
        self._last = RingCounters(ring.epoch, ring.fill, ring.flushed, ring.silence_frames, ring.starved_frames)
        self._silence_mark, self._partial_mark, self._phase, self._open = (
            ring.silence_frames,
            ring.starved_frames,
            0,
            False,
        )
