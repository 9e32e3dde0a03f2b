"""Speech or not, from VAD probabilities with hysteresis; and where exactly speech began and ended, from levels.

Silero's probability rises about 60 ms after the first sound and falls about 90 ms after the last (FACTS). Times
that are reported as "heard" must not carry that lag, so both edges are moved to where the level says.
"""

import math
from collections import deque
from typing import Literal

from services.common.settings import TurnSettings
from services.orchestrator.turns.signals import VadFrame

FRAME_NS = 32_000_000
# Speech after a dip must last this long to count as going on: one frame can be a click.
RESUME_NS = 2 * FRAME_NS
# A part belongs to speech when it is this much above the noise and not this much below the utterance's peak.
ABOVE_FLOOR_DB = 8.0
BELOW_PEAK_DB = 35.0
ONSET_BELOW_PEAK_DB = 28.0
LOOK_BACK_NS = 160_000_000
QUIET_DB = -90.0
# On a line so noisy (the utterance's peak is less above it) the voice detector hears other voices too; a quiet line has
# 44 dB and more, one with noise 20 dB under the caller 33 dB at most.
NOISY_LINE_DB = 36.0
# There, what stays this much below the caller's own level for so long is not the caller: in so long a time somebody who
# speaks comes to a loud syllable.
FADED_DB = 8.0
FADED_NS = 8 * FRAME_NS
# So much speech makes a level to compare with.
LEVEL_NS = 8 * FRAME_NS
# How fast the noise of the line is followed, per frame.
FLOOR_FOLLOW = 0.05
# What the detector calls speech for so long without one quiet frame has the noise of the line at its faintest (minimum
# statistics, Martin 2001; this share of its frames is below it), if it comes back there often: a reader who does not
# pause for 5 s has one frame in seven within 6 dB of the faintest; other voices, the caller's among them, one in three.
UNBROKEN_FRAMES = 75
FAINTEST_SHARE = 0.05
NEAR_FAINTEST_DB = 6.0
NEAR_FAINTEST_SHARE = 0.35
# Looked at this often, in frames.
UNBROKEN_STEP = 8

Edge = Literal["onset", "resumed"]


class SpeechDetector:
    """Follows one caller. `push` a frame; read `active`, `voiced`, `onset_ns`, `last_voiced_ns`, `voiced_ns`."""

    def __init__(self, settings: TurnSettings) -> None:
        self._settings = settings
        self._floor_db = -65.0
        self._quiet_frames = 0
        self._unbroken: deque[float] = deque(maxlen=UNBROKEN_FRAMES)
        self._unbroken_count = 0
        self._peak_db = QUIET_DB
        self._parts: deque[tuple[int, float]] = deque(maxlen=32)
        self._run_ns = 0
        self._first_ns = 0
        self._dipped = False
        self.active = False
        # Whether the newest frame was speech; only meaningful while active.
        self.voiced = False
        self.onset_ns = 0
        self.last_voiced_ns = 0
        # Speech in the utterance so far, without pauses.
        self.voiced_ns = 0
        # How long the latest dip lasted, once speech has gone on.
        self.pause_ns = 0
        self._power = 0.0
        self._powers = 0
        # The same without what is faint: how loud the caller is among other voices.
        self._clear_power = 0.0
        self._clear_powers = 0
        # Faint voices since when, and where the caller's own speech ended before them.
        self._faint_ns = 0
        self._clear_ns = 0

    @property
    def level_db(self) -> float | None:
        """Level of the utterance's speech in dBFS, pauses left out (mean power of its frames); None: not measured."""
        return 10 * math.log10(self._power / self._powers) if self._powers else None

    @property
    def above_noise_db(self) -> float | None:
        """How far the utterance's peak is above the noise of the line; None: levels are not known."""
        return self._peak_db - self._floor_db if self._peak_db > QUIET_DB else None

    @property
    def noisy_line(self) -> bool:
        """The detector may hear other voices in the noise of this line."""
        above_db = self.above_noise_db
        return above_db is not None and above_db < NOISY_LINE_DB

    @property
    def stirring(self) -> bool:
        """In a dip, the newest frame was speech: the next one says whether it goes on."""
        return self._dipped and self._run_ns > 0

    def push(self, frame: VadFrame) -> Edge | None:
        """Take the next frame. "onset" when an utterance begins, "resumed" when it goes on after `dip()`."""
        self._remember(frame)
        if not self.active or self._dipped:
            return self._listen(frame)
        self.voiced = frame.probability >= self._settings.silence_threshold
        if self.voiced and self._fades(frame):
            self.voiced, self.last_voiced_ns = False, self._clear_ns
        elif self.voiced:
            self._extend(frame)
        else:
            self._trail(frame)
        return None

    def dip(self) -> None:
        """The taker saw a pause: from here speech must prove itself again."""
        self._dipped = True
        self.voiced = False
        self._run_ns = self._faint_ns = 0

    def reset(self) -> None:
        """The utterance is over."""
        self.active = self.voiced = self._dipped = False
        self._run_ns = self.voiced_ns = self._faint_ns = 0
        self._peak_db = QUIET_DB
        self._power, self._powers = 0.0, 0
        self._clear_power, self._clear_powers = 0.0, 0

    def _listen(self, frame: VadFrame) -> Edge | None:
        if frame.probability < self._settings.speech_threshold or (self._dipped and self._faint(frame)):
            # One weak frame does not undo an onset; silence does.
            self._run_ns = max(0, self._run_ns - FRAME_NS)
            return None
        if self._run_ns == 0:
            self._first_ns = frame.end_ns - FRAME_NS
        self._run_ns += FRAME_NS
        needed = RESUME_NS if self._dipped else self._settings.min_speech_ms * 1_000_000
        if self._run_ns < needed:
            return None
        edge: Edge = "resumed" if self._dipped else "onset"
        if edge == "onset":
            self.onset_ns = self._edge_of_sound(self._first_ns)
            self.last_voiced_ns = frame.end_ns
        else:
            self.pause_ns = max(0, self._first_ns - self.last_voiced_ns)
        self.active, self.voiced, self._dipped = True, True, False
        self.voiced_ns += self._run_ns - FRAME_NS
        self._extend(frame)
        return edge

    def _faint(self, frame: VadFrame) -> bool:
        """On a noisy line: hardly the caller, by its level."""
        if not self.noisy_line or not frame.levels_db:
            return False
        if self._clear_powers * FRAME_NS < LEVEL_NS:
            return False
        clear_db = 10 * math.log10(self._clear_power / self._clear_powers)
        return max(frame.levels_db) < clear_db - FADED_DB

    def _fades(self, frame: VadFrame) -> bool:
        """It has been faint for so long now that the caller's speech ended where it began to be."""
        if not self._faint(frame):
            self._faint_ns = 0
            return False
        if self._faint_ns == 0:
            self._clear_ns = self.last_voiced_ns
        self._faint_ns += FRAME_NS
        return self._faint_ns >= FADED_NS

    def _extend(self, frame: VadFrame) -> None:
        self.voiced_ns += FRAME_NS
        if not frame.levels_db:
            self.last_voiced_ns = frame.end_ns
            return
        self._peak_db = max(self._peak_db - 0.05, *frame.levels_db)
        power = 10 ** (max(*frame.levels_db, QUIET_DB) / 10)
        self._power, self._powers = self._power + power, self._powers + 1
        if not self._faint_ns:
            self._clear_power, self._clear_powers = self._clear_power + power, self._clear_powers + 1
        least = self._least_db()
        part_ns = FRAME_NS // len(frame.levels_db)
        for back, level in enumerate(reversed(frame.levels_db)):
            if level >= least:
                self.last_voiced_ns = max(self.last_voiced_ns, frame.end_ns - back * part_ns)
                return

    def _trail(self, frame: VadFrame) -> None:
        """The tail of a word that the VAD gave up on: sound that goes on without a gap still belongs to it."""
        if not frame.levels_db or frame.end_ns - self.last_voiced_ns > LOOK_BACK_NS:
            return
        least, part_ns = self._least_db(), FRAME_NS // len(frame.levels_db)
        for index, level in enumerate(frame.levels_db):
            start_ns = frame.end_ns - FRAME_NS + index * part_ns
            if level >= least and start_ns - self.last_voiced_ns <= part_ns:
                self.last_voiced_ns = start_ns + part_ns

    def _least_db(self) -> float:
        return max(self._peak_db - BELOW_PEAK_DB, self._floor_db + ABOVE_FLOOR_DB)

    def _remember(self, frame: VadFrame) -> None:
        if not frame.levels_db:
            return
        part_ns = FRAME_NS // len(frame.levels_db)
        start_ns = frame.end_ns - FRAME_NS
        self._parts.extend((start_ns + i * part_ns, level) for i, level in enumerate(frame.levels_db))
        mean = sum(frame.levels_db) / len(frame.levels_db)
        if frame.probability >= self._settings.silence_threshold:
            self._unbroken.append(mean)
            self._unbroken_count += 1
            if len(self._unbroken) == UNBROKEN_FRAMES and self._unbroken_count % UNBROKEN_STEP == 0:
                self._learn_from_unbroken()
            return
        self._unbroken.clear()
        self._unbroken_count = 0
        if not self.active:
            # The mean at first, so that a noisy line is known as such within its first words.
            self._quiet_frames += 1
            follow = max(FLOOR_FOLLOW, 1 / self._quiet_frames)
            self._floor_db += follow * (max(mean, QUIET_DB) - self._floor_db)

    def _learn_from_unbroken(self) -> None:
        """A call that begins among other voices has no quiet frame to know its noise from."""
        faintest_db = sorted(self._unbroken)[int(UNBROKEN_FRAMES * FAINTEST_SHARE)]
        near = sum(level < faintest_db + NEAR_FAINTEST_DB for level in self._unbroken)
        if near >= NEAR_FAINTEST_SHARE * UNBROKEN_FRAMES:
            self._floor_db = max(self._floor_db, faintest_db)

    def _edge_of_sound(self, first_ns: int) -> int:
        """Walk back from the first voiced frame while the level stays above the noise."""
        onset_ns = first_ns
        loudest_db = max((level for start_ns, level in self._parts if start_ns >= first_ns), default=QUIET_DB)
        # Breath before a word is above the noise, but far below the word.
        least = max(self._floor_db + ABOVE_FLOOR_DB, loudest_db - ONSET_BELOW_PEAK_DB)
        for start_ns, level in reversed(self._parts):
            if start_ns >= first_ns:
                continue
            if level < least or start_ns < first_ns - LOOK_BACK_NS:
                break
            onset_ns = start_ns
        return onset_ns
