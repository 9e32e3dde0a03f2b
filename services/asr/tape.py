"""The audio of one call that may still be needed, addressed by its position in the stream."""

from collections import deque

import numpy as np

from services.asr.hypothesis import Pcm


class Tape:
    """Samples from `start` to `end`; positions count from the beginning of the stream and never change."""

    def __init__(self) -> None:
        self.start = 0
        self.end = 0
        self._chunks: deque[Pcm] = deque()

    def append(self, pcm: Pcm) -> None:
        """Add samples at the end."""
        if len(pcm):
            self._chunks.append(pcm)
            self.end += len(pcm)

    def forget_before(self, position: int) -> None:
        """Free whole chunks before `position`, and count the rest of it as gone."""
        kept = self.end - sum(map(len, self._chunks))
        while self._chunks and kept + len(self._chunks[0]) <= position:
            kept += len(self._chunks.popleft())
        self.start = min(max(self.start, position), self.end)

    def read(self, start: int, end: int) -> Pcm:
        """A copy of the samples in [start, end), clipped to what is there."""
        start, end = max(start, self.start), min(end, self.end)
        if start >= end:
            return np.zeros(0, dtype=np.int16)
        first = self.end - sum(map(len, self._chunks))
        whole = np.concatenate(tuple(self._chunks))
        return whole[start - first : end - first].copy()

    def quietest(self, start: int, end: int, window: int) -> int:
        """Middle of the quietest `window` samples in [start, end): where a cut harms no word."""
        pcm = self.read(start, end).astype(np.float64)
        frames = len(pcm) // window
        if frames == 0:
            return end
        energy = (pcm[: frames * window].reshape(frames, window) ** 2).sum(axis=1)
        return max(start, self.start) + int(energy.argmin()) * window + window // 2
