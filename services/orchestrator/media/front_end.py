"""What the voice detector hears while the agent speaks: the caller without the echo of our own voice.

    asleep ──we send──▶ awake ──nothing sent for TAIL_MS──▶ asleep          asleep: frames pass, no cost
    awake:  unknown ──like what we sent──▶ echo ──3 s quiet──▶ clear
               └──1 s quiet, or loud and unlike──▶ clear ──like what we sent──▶ echo

Only the detector hears this; the recogniser hears the line as it is, because cancelling harms recognition when both
talk. WebRTC's canceller (AEC3) suppresses a caller's first words when there is no echo to cancel, so it runs only
where an echo was seen (measured: benchmarks/README.md). What is too faint for speech on a telephone line is muted
while we speak: the detector hears speech in an echo of -65 dBFS. No I/O, no clock.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from pywebrtc_audio import EchoCanceller

from services.orchestrator.media.audio import MODEL_RATE_HZ, VAD_SAMPLES, ModelFrame, Samples, levels_db
from services.orchestrator.media.echo import MAX_DELAY_MS, match, threshold
from services.orchestrator.media.leg import Playout
from services.orchestrator.media.mouth import Line
from services.orchestrator.media.reference import Reference, position

FRAME_MS = 32
# After our last sample the echo may still come: delay and reverberation.
TAIL_MS = 700
# A frame none of whose 8 ms parts is above this holds no telephone speech (a quiet caller speaks at -35 dBFS).
FAINT_DBFS = -52.0
# The stretch that is compared with what we sent: at least, at most.
LEAST_MS, MOST_MS = 96, 320
# Less alike than this even after LEAST_MS: a voice of its own, or noise.
UNLIKE = 0.3
# So alike at once, or above the threshold twice at the same delay.
SURE = 0.6
SAME_DELAY_MS = 2.0
CLEAR_AFTER_MS = 1_000
ECHO_GONE_AFTER_MS = 3_000
# On a line that is never quiet, look again this often once it was judged.
LOOK_AGAIN_FRAMES = 8
_BLOCK = MODEL_RATE_HZ // 100
# The canceller's own delay, and ours for cutting 32 ms into 10 ms.
_AEC_DELAY_SAMPLES = 127
_DELAY_NS = (_AEC_DELAY_SAMPLES + _BLOCK) * 1_000_000_000 // MODEL_RATE_HZ
# Our voice is given to the canceller this long before its echo.
_LEAD_MS = 24
_MUTE = bytes(2 * VAD_SAMPLES)

State = Literal["unknown", "clear", "echo"]


class FrontEnd:
    """One per call. `awake` says whether to ask `hear`; the reference is fed by `TappedLine` and `on_playout`."""

    def __init__(self, tx_rate_hz: int) -> None:
        self.reference = Reference(tx_rate_hz)
        self.awake = False
        self.state: State = "unknown"
        # How late the newest echo was found to be, for the canceller and the log; None: none was ever heard.
        self.delay_ms: float | None = None
        self._near: deque[ModelFrame] = deque(maxlen=MOST_MS // FRAME_MS)
        self._quiet_ms = 0
        self._loud_frames = 0
        self._suspected_ms: float | None = None
        self._canceller: _Canceller | None = None

    def set_rate(self, tx_rate_hz: int) -> None:
        """The leg's codec changed; counts of what was sent begin again where the rate did."""
        if tx_rate_hz != self.reference.rate_hz:
            self.reference.set_rate(tx_rate_hz)

    def on_playout(self, playout: Playout, at_ns: int) -> None:
        """What the leg has sent."""
        if self.reference.report(playout.sent, at_ns):
            self.awake = True

    def hear(self, frames: Sequence[ModelFrame]) -> list[ModelFrame]:
        """What the detector is given instead of `frames`; as many."""
        return [self._hear(frame) for frame in frames]

    def _hear(self, frame: ModelFrame) -> ModelFrame:
        if frame.end_ns - self.reference.end_ns > TAIL_MS * 1_000_000:
            self._sleep()
            return frame
        loud = max(frame.levels_db) > FAINT_DBFS
        self._near.append(frame)
        self._quiet_ms = 0 if loud else self._quiet_ms + FRAME_MS
        self._loud_frames = self._loud_frames + 1 if self._loud_frames or loud else 0
        if self._quiet_ms >= MOST_MS:
            self._loud_frames, self._suspected_ms = 0, None
        self._forget_echo()
        if self.state != "echo" and loud:
            self._judge()
        if self.state == "clear" or (self.state == "unknown" and self._canceller is None and not loud):
            return frame if loud else replace(frame, pcm=_MUTE)
        if self._canceller is None:
            self._canceller = _Canceller(self.reference, self.delay_ms or 0.0)
            # What came just before tells it the room.
            for earlier in list(self._near)[:-1]:
                self._canceller.process(earlier)
        return self._canceller.process(frame)

    def _forget_echo(self) -> None:
        """Quiet while we speak: there is no echo, or none any more."""
        if self.state != "clear" and self._quiet_ms >= (
            CLEAR_AFTER_MS if self.state == "unknown" else ECHO_GONE_AFTER_MS
        ):
            self.state, self._canceller = "clear", None

    def _judge(self) -> None:
        window_ms = min(self._loud_frames * FRAME_MS, len(self._near) * FRAME_MS)
        again = self._loud_frames > MOST_MS // FRAME_MS and self._loud_frames % LOOK_AGAIN_FRAMES
        if window_ms < LEAST_MS or again:
            return
        frames = list(self._near)[-(window_ms // FRAME_MS) :]
        near = np.frombuffer(b"".join(frame.pcm for frame in frames), "<i2")
        far = self.reference.read(position(frames[-1].end_ns), len(near) + MAX_DELAY_MS * MODEL_RATE_HZ // 1000)
        found = match(near, far)
        if found.likeness >= threshold(window_ms):
            confirmed = self._suspected_ms is not None and abs(found.delay_ms - self._suspected_ms) <= SAME_DELAY_MS
            self._suspected_ms = found.delay_ms
            if confirmed or found.likeness >= SURE:
                self.state, self.delay_ms, self._canceller = "echo", found.delay_ms, None
        elif found.likeness < UNLIKE and self.state == "unknown":
            self.state, self._canceller = "clear", None

    def _sleep(self) -> None:
        self.awake = False
        self._near.clear()
        self._loud_frames, self._suspected_ms = 0, None
        if self._canceller is not None:
            self._canceller.rest()


class TappedLine:
    """What the mouth speaks into: the leg, with the front end's reference listening."""

    def __init__(self, leg: Line, reference: Reference) -> None:
        self._leg = leg
        self._reference = reference

    def play(self, frame: bytes) -> None:
        """See `Leg.play`."""
        self._reference.play(frame)
        self._leg.play(frame)

    def clear(self) -> None:
        """See `Leg.clear`."""
        # First: a leg may report before this returns.
        self._reference.clear()
        self._leg.clear()


class _Canceller:
    """AEC3 fed with 10 ms blocks of both sides; frames go in and come out 32 ms long and one block later."""

    def __init__(self, reference: Reference, delay_ms: float) -> None:
        self._reference = reference
        self._aec = EchoCanceller(MODEL_RATE_HZ, 1, 0)
        self._lag = max(0, int((delay_ms - _LEAD_MS) * MODEL_RATE_HZ / 1000))
        self._far_end: int | None = None
        self.rest()

    def rest(self) -> None:
        """Nothing follows for a while; what was learned of the room stays."""
        self._near: Samples = np.zeros(0, np.int16)
        self._out: Samples = np.zeros(_BLOCK, np.int16)
        self._far_end = None

    def process(self, frame: ModelFrame) -> ModelFrame:
        """The frame without echo."""
        near = np.concatenate((self._near, np.frombuffer(frame.pcm, "<i2")))
        count = len(near) // _BLOCK * _BLOCK
        end = position(frame.end_ns) - self._lag - (len(near) - count)
        expected = None if self._far_end is None else self._far_end + count
        # Small corrections of the clock would cost the canceller what it has learned: follow only large ones.
        if expected is not None and abs(end - expected) < _BLOCK:
            end = expected
        self._far_end = end
        clean = self._aec.process(near[:count], self._reference.read(end, count))
        self._near = near[count:]
        out = np.concatenate((self._out, clean))
        self._out = out[VAD_SAMPLES:]
        pcm = out[:VAD_SAMPLES]
        return ModelFrame(pcm.tobytes(), frame.end_ns - _DELAY_NS, levels_db(pcm))
