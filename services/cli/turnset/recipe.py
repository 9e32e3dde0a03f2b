"""The recipe of the set: which caller says what, with which pauses, over which line. Deterministic from the seed.

Halves are kept apart by text (a hash of the first fragment decides) and by voice or source (`VOICES`, `sources.py`):
nothing tuned on one half is known to the other. Pause lengths are drawn from a log-normal distribution, the shape
that Campione & Véronis (Speech Prosody 2002) found for silent pauses in five languages; its median and spread per
kind are in `PAUSES`, cut off at 0.3 s and 2.0 s.
"""

import hashlib
import math
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from services.cli.turnset import numbers, phrases, sounds

Half = Literal["tuning", "test"]
HALVES: tuple[Half, ...] = ("tuning", "test")
# Part of every item's identity: raise it when rendering changes.
VERSION = 2
# Kinds whose rendering changed since. Backchannels: a synthesiser spelled "mhm" and "mm" ("em aitch em"), which are
# words; they are hums now (sounds.py).
REVISIONS = {"cough": 1, "backchannel": 1}

BARGE_KINDS = ("cough", "laugh", "backchannel", "background", "echo", "interruption")
FALSE_BARGE_KINDS = BARGE_KINDS[:-1]

# kind → (median ms, sigma of the logarithm). Hesitations are longer than the breath between groups of digits.
PAUSES = {
    "clause": (600, 0.55),
    "conjunction": (600, 0.55),
    "filler": (750, 0.5),
    "trail_off_hold": (1000, 0.4),
    "digits": (500, 0.45),
    "spelling": (500, 0.45),
    "date": (550, 0.5),
    "human_hold": (600, 0.55),
}
LEAST_PAUSE_MS, LONGEST_PAUSE_MS = 300, 2000

# What a question that expects yes or no is answered with.
_YES_NO = frozenset(
    ("yes", "yeah", "no", "nope", "that's", "correct", "sure", "of", "exactly", "absolutely", "not", "i")
)

# How many items of each kind a half has; those of recorded speech follow from the recordings.
COUNTS = {
    "clause": 95,
    "conjunction": 36,
    "filler": 32,
    "trail_off_hold": 18,
    "digits": 40,
    "spelling": 16,
    "date": 20,
    "complete": 32,
    "short_answer": 42,
    "digits_complete": 12,
    "trail_off_end": 8,
    "human_hold": 24,
    "human_complete": 20,
    **dict.fromkeys(BARGE_KINDS, 60),
}


@dataclass(frozen=True, slots=True)
class Voice:
    """Who speaks. `piper`: the stack's own voice, its pitch moved by `pitch`; `espeak`: espeak-ng's `variant`."""

    name: str
    engine: Literal["piper", "espeak"]
    variant: str = ""
    pitch: float = 1.0
    rate: float = 1.0


VOICES: dict[Half, tuple[Voice, ...]] = {
    "tuning": (
        Voice("joe", "piper"),
        Voice("joe-low", "piper", pitch=0.88, rate=0.95),
        Voice("joe-high", "piper", pitch=1.2, rate=1.05),
        Voice("espeak-us", "espeak", "en-us", rate=0.95),
        Voice("espeak-gb-f3", "espeak", "en-gb+f3", rate=0.9),
    ),
    "test": (
        Voice("joe-slow", "piper", pitch=0.94, rate=0.85),
        Voice("joe-quick", "piper", pitch=1.08, rate=1.18),
        Voice("joe-higher", "piper", pitch=1.32, rate=1.0),
        Voice("espeak-rp", "espeak", "en-gb-x-rp", rate=0.9),
        Voice("espeak-us-f2", "espeak", "en-us+f2", rate=1.0),
    ),
}
# The agent's own voice, for its echo.
AGENT_VOICE = Voice("agent", "piper")


@dataclass(frozen=True, slots=True)
class Part:
    """Words (or a sound) and the silence after them; the last part of an item has none."""

    text: str
    pause_ms: int = 0


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that happens to the agent. `source` names a recording or "" for a synthetic voice."""

    name: str
    half: Half
    kind: str
    parts: tuple[Part, ...]
    voice: str
    seed: int
    line: Literal["g711", "wide"] = "g711"
    noise: Literal["none", "pink", "babble"] = "none"
    snr_db: int = 0
    level_db: float = -23.0
    expects: str = "open"
    expects_length: int = 0
    agent_text: str = ""
    source: str = ""

    @property
    def barge_in(self) -> bool:
        """It happens while the agent speaks."""
        return self.kind in BARGE_KINDS

    @property
    def hum(self) -> str:
        """The word, where it is hummed and not said; else ""."""
        word = self.parts[0].text.strip(" .").lower() if self.kind == "backchannel" else ""
        return word if word in sounds.HUMS else ""

    @property
    def condition(self) -> str:
        """Line and noise in a word."""
        return self.line if self.noise == "none" else f"{self.noise} {self.snr_db} dB"


def half_of(text: str) -> Half:
    """The half that owns a text: by its first fragment, without case and punctuation."""
    words = re.findall(r"[a-z0-9']+", text.split("|")[0].lower())
    return HALVES[hashlib.sha256(" ".join(words).encode()).digest()[0] & 1]


def pause_ms(kind: str, chance: random.Random) -> int:
    """A pause of this kind."""
    median, sigma = PAUSES[kind]
    while True:
        drawn = chance.lognormvariate(math.log(median), sigma)
        if LEAST_PAUSE_MS <= drawn <= LONGEST_PAUSE_MS:
            return round(drawn)


def items(half: Half, seed: int = 1, sources: Sequence[str] = ()) -> list[Item]:
    """Every item of a half, in a fixed mixed order. `sources`: recorded clips of this half (sources.py)."""
    made: list[Item] = []
    for kind, count in COUNTS.items():
        if kind.startswith("human_"):
            made += _human(kind, count, half, seed, sources)
        else:
            make = _BARGE.get(kind, _turn)
            made += [make(kind, index, half, _chance(seed, half, kind, index)) for index in range(count)]
    return sorted(made, key=lambda item: hashlib.sha256(item.name.encode()).digest())


def _chance(seed: int, half: Half, kind: str, index: int) -> random.Random:
    return random.Random(f"{seed} {half} {kind} {index}")


def _turn(kind: str, index: int, half: Half, chance: random.Random) -> Item:
    texts = _texts(kind, half)
    expects, length = "open", 0
    if texts:
        text = texts[index % len(texts)]
        if kind == "short_answer" and chance.random() < 0.6 and text.split()[0].lower().strip(".,") in _YES_NO:
            expects = "yes_no"
    else:
        text, expects, length = _number(kind, half, chance)
    fragments = [fragment.strip() for fragment in text.split("|")]
    parts = [Part(fragment, pause_ms(kind, chance)) for fragment in fragments[:-1]] + [Part(fragments[-1])]
    return _finish(kind, index, half, chance, tuple(parts), expects=expects, length=length)


def _number(kind: str, half: Half, chance: random.Random) -> tuple[str, str, int]:
    make: Callable[[random.Random], tuple[str, str, int]] = {
        "digits": numbers.digits,
        "digits_complete": numbers.digits_in_one_go,
        "spelling": numbers.spelling,
        "date": numbers.date,
    }[kind]
    while True:
        made = make(chance)
        # By all of it: the same number with its pause elsewhere is the same text.
        if half_of(made[0].replace("|", "")) == half:
            return made


def _texts(kind: str, half: Half) -> list[str]:
    block = {
        "clause": phrases.CLAUSE,
        "conjunction": phrases.CONJUNCTION,
        "filler": phrases.FILLER,
        "trail_off_hold": phrases.TRAIL_OFF_HOLD,
        "trail_off_end": phrases.TRAIL_OFF_END,
        "complete": phrases.COMPLETE,
        "short_answer": phrases.SHORT_ANSWER,
        "backchannel": phrases.BACKCHANNEL,
        "interruption": phrases.INTERRUPTION,
        "background": phrases.BACKGROUND,
        "agent": phrases.AGENT,
    }.get(kind, "")
    return [text for text in phrases.lines(block) if half_of(text) == half]


def _heard_while_speaking(kind: str, index: int, half: Half, chance: random.Random) -> Item:
    agents = _texts("agent", half)
    agent = agents[chance.randrange(len(agents))]
    texts = _texts(kind, half)
    text = texts[index % len(texts)] if texts else ""
    return _finish(kind, index, half, chance, (Part(text),), agent_text=agent)


def _echo(kind: str, index: int, half: Half, chance: random.Random) -> Item:
    agents = _texts("agent", half)
    agent = agents[index % len(agents)]
    return _finish(kind, index, half, chance, (Part(agent),), agent_text=agent)


_BARGE: dict[str, Callable[[str, int, Half, random.Random], Item]] = {
    **dict.fromkeys(BARGE_KINDS, _heard_while_speaking),
    "echo": _echo,
}


def _human(kind: str, count: int, half: Half, seed: int, sources: Sequence[str]) -> list[Item]:
    made = []
    for index in range(count if sources else 0):
        chance = _chance(seed, half, kind, index)
        parts = (Part("", pause_ms(kind, chance)), Part("")) if kind == "human_hold" else (Part(""),)
        source = sources[index % len(sources)]
        made.append(_finish(kind, index, half, chance, parts, source=source))
    return made


def _finish(
    kind: str,
    index: int,
    half: Half,
    chance: random.Random,
    parts: tuple[Part, ...],
    *,
    expects: str = "open",
    length: int = 0,
    agent_text: str = "",
    source: str = "",
) -> Item:
    """Line, noise, level and voice: 8 kHz G.711 mostly, a third of it noisy, a tenth wideband and clean."""
    voices = VOICES[half]
    # Two of three by the better synthesiser.
    voice = chance.choices(voices, [2 if v.engine == "piper" else 1 for v in voices])[0]
    wide = chance.random() < 0.1
    noise: Literal["none", "pink", "babble"] = "none"
    if not wide:
        noise = chance.choices(("none", "pink", "babble"), (0.66, 0.17, 0.17))[0]
    return Item(
        name=f"{half}-{kind}-{index:03d}",
        half=half,
        kind=kind,
        parts=parts,
        voice=source.split("/")[0] if source else voice.name,
        seed=chance.getrandbits(32),
        line="wide" if wide else "g711",
        noise=noise,
        snr_db=chance.choice((20, 10)) if noise != "none" else 0,
        level_db=round(chance.uniform(-27, -19), 1),
        expects=expects,
        expects_length=length,
        agent_text=agent_text,
        source=source,
    )


def voice_named(half: Half, name: str) -> Voice:
    """A voice of the half."""
    return next(voice for voice in VOICES[half] if voice.name == name)
