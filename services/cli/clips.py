"""What test callers say: recorded human speech, cut exactly to its first and last speech sample."""

import wave
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soxr

from services.cli.caller import Pcm
from services.cli.measure import dbfs, trim
from services.common.errors import InvalidInputError
from services.common.models import ModelStore

SPEECH_SET = "speech-test"
# Speech level of a caller: a good telephone line (a trunk's usual −26 dBov is quieter, a browser's louder).
LEVEL_DBFS = -20.0
# Where speech ends must not be a matter of opinion: a clip is cut where it falls this far below its level, which is
# above every voice detector's threshold. What is sent after it is silence.
_CUT_DB = 20.0
_RAW_RATE_HZ = 16_000
_LONGEST_S = 60.0
# A dip in a clip longer than this invites the agent to answer in the middle of it.
_CALM_DIP_MS = 200
_FRAME_MS = 32


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """One utterance: it begins and ends with speech. `text` is what is said, where that is known."""

    name: str
    text: str
    pcm: Pcm
    rate_hz: int

    @property
    def seconds(self) -> float:
        """Length."""
        return len(self.pcm) / self.rate_hz

    def at(self, rate_hz: int) -> "Clip":
        """The clip at another rate."""
        if rate_hz == self.rate_hz:
            return self
        resampled = np.asarray(soxr.resample(self.pcm, self.rate_hz, rate_hz, quality="HQ"), dtype=np.int16)
        return Clip(self.name, self.text, resampled, rate_hz)

    def audible_samples(self, below_db: float) -> int:
        """How much of it is heard over noise that far below a caller's level: up to where its 20 ms sink into it.

        The quiet last sounds of a word are speech on a clean line; under a louder noise nobody hears them.
        """
        window, hop = self.rate_hz // 50, self.rate_hz // 200
        for at in range(len(self.pcm) - window, 0, -hop):
            if dbfs(self.pcm[at : at + window]) > LEVEL_DBFS - below_db:
                return at + window
        return len(self.pcm)

    def longest_dip_ms(self) -> float:
        """The longest stretch inside that a voice detector may take for silence: 32 ms frames well below speech."""
        frame = self.rate_hz * _FRAME_MS // 1000
        longest = run = 0
        for at in range(0, len(self.pcm) - frame + 1, frame):
            run = run + 1 if dbfs(self.pcm[at : at + frame]) < LEVEL_DBFS - _CUT_DB else 0
            longest = max(longest, run)
        return float(longest * _FRAME_MS)


def make_clip(name: str, text: str, pcm: Pcm, rate_hz: int) -> Clip:
    """Bring `pcm` to the usual level and cut it to its speech. Raises InvalidInputError when there is none.

    The level first: where speech ends is judged against the level it is sent with, so that the hiss after the last
    word of a quiet recording does not count as speech.
    """
    loud = trim(pcm, rate_hz)
    for _ in range(2):
        if loud is None:
            raise InvalidInputError(name, expected="speech", got="silence", remedy="Name a recording of a voice.")
        cut = pcm[loud.start : loud.end].astype(np.float64)
        # Never into clipping: a loud syllable in a quiet recording keeps its shape.
        gain = min(10 ** ((LEVEL_DBFS - dbfs(cut)) / 20), 32000 / max(1.0, float(np.max(np.abs(cut)))))
        pcm = (cut * gain).astype(np.int16)
        loud = trim(pcm, rate_hz, LEVEL_DBFS - _CUT_DB)
    if loud is None:
        raise InvalidInputError(name, expected="speech", got="a click", remedy="Name a recording of a voice.")
    return Clip(name, text, pcm[loud.start : loud.end], rate_hz)


def load_clip(path: Path, text: str = "") -> Clip:
    """A WAV (16 bit, mono or the first channel), or headerless .raw at 16 kHz. Raises InvalidInputError."""
    name = str(path)
    try:
        if path.suffix == ".raw":
            return make_clip(
                path.name, text, np.frombuffer(path.read_bytes(), dtype="<i2").astype(np.int16), _RAW_RATE_HZ
            )
        with wave.open(name) as stream:
            if stream.getsampwidth() != 2 or stream.getcomptype() != "NONE":
                raise InvalidInputError(
                    name,
                    expected="16-bit PCM",
                    got=f"{8 * stream.getsampwidth()} bit {stream.getcomptype()}",
                    remedy="Convert it: sox in.wav -b 16 -c 1 out.wav",
                )
            if stream.getnframes() > _LONGEST_S * stream.getframerate():
                raise InvalidInputError(name, expected=f"at most {_LONGEST_S:.0f} s", got="more")
            frames = np.frombuffer(stream.readframes(stream.getnframes()), dtype="<i2")
            return make_clip(path.name, text, frames[:: stream.getnchannels()].astype(np.int16), stream.getframerate())
    except (OSError, wave.Error, EOFError, ValueError) as error:
        raise InvalidInputError(name, expected="a readable WAV file", got=str(error) or type(error).__name__) from error


def human_speech(store: ModelStore) -> list[Clip]:
    """Utterances of the speech set that have no long pause inside, short ones first.

    Raises MissingModelError with the command that fetches them.
    """
    folder = store.path(SPEECH_SET)
    clips = [replace(load_clip(folder / name, text), name=name) for name, text in _TEXTS.items()]
    return sorted((c for c in clips if c.longest_dip_ms() <= _CALM_DIP_MS), key=lambda c: c.seconds)


def by_name(clips: Sequence[Clip], *names: str) -> list[Clip]:
    """The named ones, in that order."""
    known = {clip.name: clip for clip in clips}
    return [known[name] for name in names if name in known]


_SENSE = "librivox/sense_and_sensibility_01_austen_64kb-"
_TEXTS = {
    "cards/001.wav": "ten of clubs",
    "cards/002.wav": "four queen of clubs",
    "cards/003.wav": "seven of clubs",
    "cards/004.wav": "five five",
    "cards/005.wav": "eight of spades four of clubs seven of hearts",
    "something.raw": "go somewhere and do something",
    f"{_SENSE}0870.wav": "and mister john dashwood had then leisure to consider how much there might be prudently in "
    "his power to do for them",
    f"{_SENSE}0880.wav": "he was not an ill disposed young man",
    f"{_SENSE}0890.wav": "unless to be rather cold hearted and rather selfish is to be ill disposed",
    f"{_SENSE}0920.wav": "had he married a more amiable woman he might have been made still more respectable "
    "than he was",
    f"{_SENSE}0930.wav": "he might even have been made amiable himself",
}
