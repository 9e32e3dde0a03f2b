"""From words to what reaches the agent: pieces, pauses, noise, level and line put together, and the truth about it.

Pure. Where speech begins and ends is found in each clean piece by itself, 25 dB below its level: that is the truth
that every system is measured against. A piece keeps up to 90 ms of its fading tail behind that point.
"""

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import soxr

from services.cli.caller import Pcm
from services.cli.measure import dbfs, speech_spans, trim
from services.cli.turnset import sounds
from services.cli.turnset.recipe import LEAST_PAUSE_MS, Item
from services.common.errors import InvalidInputError

RATE_HZ = sounds.RATE_HZ
LEAD_MS = 600
# Long enough for the longest wait of any system measured (3 s), and its model's answer.
TAIL_MS = 3_400
# An agent that is interrupted has spoken for so long.
BARGE_AT_MS = 1_000
_EDGE_DB = 25.0
_KEEP_MS = 90
# The speaker's own pauses count from the length of those we put in.
_NATURAL_MS = LEAST_PAUSE_MS
_LINE_NOISE_DB = -68.0
# Of the caller's level: people in the background, our own voice out of a loudspeaker.
BACKGROUND_DB = -25.0
ECHO_DB = (-24.0, -12.0)


@dataclass(frozen=True, slots=True)
class Hold:
    """A pause behind which the speaker goes on, ms from the start of the audio."""

    kind: str
    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class Truth:
    """First and last voiced sample, ms from the start of the audio, and the pauses between them."""

    onset_ms: float
    end_ms: float
    holds: tuple[Hold, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class Rendered:
    """16-bit samples as the line delivers them."""

    pcm: Pcm
    rate_hz: int
    truth: Truth


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Sound at 16 kHz with a faded tail; speech is in [start, end)."""

    pcm: np.ndarray
    start: int
    end: int


def piece(pcm: Pcm, level_db: float) -> Piece:
    """Cut a clip to its speech and bring it to `level_db` dBFS. Raises InvalidInputError for silence."""
    span = trim(pcm, RATE_HZ)
    if span is None:
        raise InvalidInputError("clip", expected="speech", got="silence")
    cut = pcm[span.start : span.end].astype(np.float64)
    gain = min(10 ** ((level_db - dbfs(cut)) / 20), 32000 / max(1.0, float(np.max(np.abs(cut)))))
    loud = np.clip(pcm.astype(np.float64) * gain, -32768, 32767)
    span = trim(loud.astype(np.int16), RATE_HZ, level_db - _EDGE_DB) or span
    keep = RATE_HZ * _KEEP_MS // 1000
    first, last = max(0, span.start - keep // 3), min(len(loud), span.end + keep)
    out = loud[first:last].copy()
    fade_in, fade_out = span.start - first, last - span.end
    out[:fade_in] *= np.linspace(0, 1, fade_in)
    out[len(out) - fade_out :] *= np.linspace(1, 0, fade_out)
    return Piece(out, fade_in, len(out) - fade_out)


def render(item: Item, clips: Sequence[Pcm], babble: list[Pcm]) -> Rendered:
    """`clips`: one per part at 16 kHz (none for sounds made here); `babble`: other voices of the half."""
    lead_ms = BARGE_AT_MS if item.barge_in else LEAD_MS
    out = [np.zeros(_samples(lead_ms))]
    at = len(out[0])
    spans: list[tuple[int, int]] = []
    natural: list[Hold] = []
    pieces = _pieces(item, clips)
    for part, sound in zip(item.parts, pieces, strict=True):
        spans.append((at + sound.start, at + sound.end))
        if not item.barge_in:
            natural += _unasked(sound, at, item.level_db)
        out.append(sound.pcm)
        at += len(sound.pcm)
        # The pause is counted from the last voiced sample to the first one of what follows.
        gap = max(0, _samples(part.pause_ms) - (len(sound.pcm) - sound.end)) if part.pause_ms else 0
        out.append(np.zeros(gap))
        at += gap
    out.append(np.zeros(_samples(TAIL_MS)))
    asked = [Hold(item.kind, _ms(one[1]), _ms(other[0])) for one, other in itertools.pairwise(spans)]
    holds = tuple(sorted((*asked, *natural), key=lambda hold: hold.start_ms))
    truth = Truth(_ms(spans[0][0]), _ms(spans[-1][1]), holds)
    return _over_the_line(item, np.concatenate(out), truth, babble)


def _unasked(sound: Piece, at: int, level_db: float) -> list[Hold]:
    """Pauses that the speaker made inside a piece: they are as real as those we put in."""
    spans = speech_spans(
        np.clip(sound.pcm, -32768, 32767).astype(np.int16),
        RATE_HZ,
        pause_ms=_NATURAL_MS,
        least_dbfs=level_db - _EDGE_DB,
    )
    return [Hold("natural", _ms(at + one.end), _ms(at + other.start)) for one, other in itertools.pairwise(spans)]


def _pieces(item: Item, clips: Sequence[Pcm]) -> list[Piece]:
    level = item.level_db
    if item.hum:
        hummed = np.clip(sounds.hum(item.hum, item.seed) * 32767, -32768, 32767).astype(np.int16)
        return [piece(np.concatenate((np.zeros(1600, np.int16), hummed, np.zeros(1600, np.int16))), level)]
    if item.kind in ("cough", "laugh"):
        made = sounds.cough(item.seed) if item.kind == "cough" else sounds.laugh(item.seed)
        # As loud as the caller's speech at its peaks.
        return [Piece(made * 32768 * 10 ** ((level + 10) / 20), 0, len(made))]
    if item.kind == "background":
        return [_quiet(clips[0], level + BACKGROUND_DB)]
    if item.kind == "echo":
        chance = np.random.default_rng(item.seed)
        wet = sounds.room_echo(clips[0], item.seed)
        return [_quiet(wet.astype(np.int16), level + chance.uniform(*ECHO_DB))]
    return [piece(clip, level) for clip in clips]


def _quiet(pcm: Pcm, level_db: float) -> Piece:
    """A sound far below speech level: edges are found before it is turned down."""
    loud = piece(pcm, -20.0)
    return Piece(loud.pcm * 10 ** ((level_db + 20.0) / 20), loud.start, loud.end)


def _over_the_line(item: Item, clean: np.ndarray, truth: Truth, babble: list[Pcm]) -> Rendered:
    line = sounds.pink_noise(len(clean), item.seed ^ 1) * 32768 * 10 ** (_LINE_NOISE_DB / 20)
    heard = clean + line
    if item.noise != "none":
        noise = (
            sounds.pink_noise(len(clean), item.seed ^ 2)
            if item.noise == "pink"
            else sounds.babble(len(clean), babble, item.seed ^ 2)
        )
        heard = heard + noise * 32768 * 10 ** ((item.level_db - item.snr_db) / 20)
    wide = np.clip(heard, -32768, 32767).astype(np.int16)
    if item.line == "wide":
        return Rendered(wide, RATE_HZ, truth)
    narrow = np.asarray(soxr.resample(wide, RATE_HZ, 8000, quality="HQ"), dtype=np.int16)
    return Rendered(sounds.g711(narrow), 8000, truth)


def _samples(ms: float) -> int:
    return int(ms * RATE_HZ / 1000)


def _ms(samples: int) -> float:
    return round(samples * 1000 / RATE_HZ, 3)
