"""Last words to a caller whose orchestrator worker died: played at the pace of speech. No I/O."""

from typing import Final

from services.telephony.leg_media import FRAME_MS

_FRAME_NS: Final = FRAME_MS * 1_000_000
# Handed over ahead of its time, so that a late poll leaves no gap; the ring takes up to 60 ms.
_AHEAD_NS: Final = 2 * _FRAME_NS


class Farewell:
    """One sentence on one leg. `take` what is due at every poll until `over`."""

    def __init__(self, pcm: bytes, rate_hz: int, now_ns: int) -> None:
        self._frame = rate_hz * FRAME_MS // 1000 * 2
        self._pcm = pcm + bytes(-len(pcm) % self._frame)
        self._begun_ns = now_ns
        self._at = 0

    def take(self, now_ns: int) -> bytes:
        """Whole frames to play now; empty when none is due."""
        due = ((now_ns + _AHEAD_NS - self._begun_ns) // _FRAME_NS) * self._frame
        taken = self._pcm[self._at : due]
        self._at += len(taken)
        return taken

    def over(self, now_ns: int) -> bool:
        """All of it was heard."""
        return now_ns >= self._begun_ns + len(self._pcm) // self._frame * _FRAME_NS + _AHEAD_NS
