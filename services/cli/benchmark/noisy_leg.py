"""A caller in a noisy place: a leg whose every sent frame has noise under it, also between the caller's words.

A leg sends silence by itself when nothing is queued; here noise is queued instead, a little ahead, and clips are
mixed into it. What was sent, noise included, is in the leg's own track, so all times stay those of the wire.
"""

from typing import Literal

import numpy as np

from services.cli.caller import FRAME_MS, CallerLeg, Pcm, Track

# Noise queued ahead: a clip begins at most this much later than it was asked for, which no figure depends on.
_AHEAD_MS = 200
_STEP_MS = 60


class NoisyLeg:
    """Wraps a leg; see `CallerLeg`. `noise` at the leg's own sending rate, repeated for as long as the call lasts."""

    def __init__(self, leg: CallerLeg, noise: Pcm) -> None:
        self._leg = leg
        self._noise = noise
        self._at = 0
        self._queued_until = leg.sent.samples
        self._clip_until = 0
        self._top_up()

    @property
    def transport(self) -> Literal["sip", "webrtc"]:
        """As the leg."""
        return self._leg.transport

    @property
    def peer_reference(self) -> str:
        """As the leg."""
        return self._leg.peer_reference

    @property
    def call_id(self) -> str:
        """As the leg."""
        return self._leg.call_id

    @property
    def token(self) -> str:
        """As the leg."""
        return self._leg.token

    @property
    def codec(self) -> str:
        """As the leg."""
        return self._leg.codec

    @property
    def sent(self) -> Track:
        """As the leg: with the noise."""
        return self._leg.sent

    @property
    def heard(self) -> Track:
        """As the leg."""
        return self._leg.heard

    @property
    def playing(self) -> bool:
        """Whether a clip has not left yet; noise never counts."""
        return self._leg.sent.samples < self._clip_until

    @property
    def ended(self) -> str:
        """As the leg."""
        return self._leg.ended

    @property
    def lost_packets(self) -> int:
        """As the leg."""
        return self._leg.lost_packets

    def play(self, pcm: Pcm) -> int:
        """Queue a clip over the noise. Returns the index of its first sample in `sent`."""
        frame = self._leg.sent.rate_hz * FRAME_MS // 1000
        start = self._queue(np.pad(pcm, (0, -len(pcm) % frame)))
        self._clip_until = start + len(pcm)
        return start

    async def progress(self) -> None:
        """As the leg; the noise goes on."""
        await self._leg.progress()
        self._top_up()

    async def hangup(self) -> None:
        """As the leg."""
        await self._leg.hangup()

    def _top_up(self) -> None:
        rate = self._leg.sent.rate_hz
        while not self._leg.ended and self._queued_until - self._leg.sent.samples < _AHEAD_MS * rate // 1000:
            self._queue(np.zeros(_STEP_MS * rate // 1000, dtype=np.int16))

    def _queue(self, pcm: Pcm) -> int:
        under = np.take(self._noise, range(self._at, self._at + len(pcm)), mode="wrap")
        self._at = (self._at + len(pcm)) % len(self._noise)
        mixed = np.clip(pcm.astype(np.int32) + under, -32768, 32767).astype(np.int16)
        start = self._leg.play(mixed)
        self._queued_until = start + len(mixed)
        return start
