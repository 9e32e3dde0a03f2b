"""What the callers of a benchmark do: plain turns, pauses in mid-sentence, interruptions, coughs, "mhm", noise, loss.

Each script is a plan of lines, fixed by its seed, and a line quality; nothing here is decided while a call runs.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from services.cli.benchmark.sounds import hold
from services.cli.clips import Clip
from services.cli.conversation import Aside, Line, plan_lines
from services.cli.measure import AsideKind
from services.common.errors import InvalidInputError

Script = Literal["plain", "pauses", "interruptions", "coughs", "backchannels", "noise", "loss", "mixed"]
SCRIPTS: tuple[Script, ...] = get_args(Script)
MEANING: dict[str, str] = {
    "plain": "one sentence after the other; some interrupt the agent (--barge-in-every)",
    "pauses": "every sentence has a pause of 0.4 to 1.2 s in its middle: an answer in there is a false cut-off",
    "interruptions": "every second sentence is spoken over the agent, 0.5 to 1.8 s into its answer",
    "coughs": "a cough 0.6 to 1.4 s into every answer: the agent should go on",
    "backchannels": "an mhm 0.6 to 1.4 s into every answer: the agent should go on",
    "noise": "plain, with noise under the caller for the whole call (--noise, --snr)",
    "loss": "plain, with packets of the caller lost (--loss)",
    "mixed": "pauses, interruptions, coughs and backchannels in turn, over noise",
}
_GAP_MS = (400, 1200)
_INTERRUPT_MS = (500, 1800)
_ASIDE_MS = (600, 1400)
# Shorter clips have no middle to pause in.
_LEAST_PAUSED_S = 1.8
_MIX: tuple[Script, ...] = ("pauses", "interruptions", "coughs", "backchannels", "plain")


@dataclass(frozen=True, slots=True)
class Voices:
    """What the callers can say and do; all of any rate."""

    clips: Sequence[Clip]
    coughs: Sequence[Clip] = ()
    backchannels: Sequence[Clip] = ()


@dataclass(frozen=True, slots=True)
class PlainTalk:
    """Of the plain turns: every `barge_in_every`-th interrupts (0: none), `interrupt_after_ms` into the answer."""

    barge_in_every: int = 5
    interrupt_after_ms: int = 900


def parse_scripts(text: str) -> list[Script]:
    """ "plain,coughs" or "all". Raises InvalidInputError naming what there is."""
    names = list(SCRIPTS) if text.strip() == "all" else [name.strip() for name in text.split(",") if name.strip()]
    chosen: list[Script] = []
    for name in names:
        found = next((script for script in SCRIPTS if script == name), None)
        if found is None:
            raise InvalidInputError("--script", expected=f"some of {', '.join(SCRIPTS)}, or all", got=repr(name))
        chosen.append(found)
    if not chosen:
        raise InvalidInputError("--script", expected=f"some of {', '.join(SCRIPTS)}, or all", got="none")
    return chosen


def has_noise(script: Script) -> bool:
    """Noise lies under the caller."""
    return script in ("noise", "mixed")


def has_loss(script: Script) -> bool:
    """Packets of the caller are lost."""
    return script == "loss"


def plan(script: Script, voices: Voices, turns: int, call: int, seed: int, talk: PlainTalk) -> list[Line]:
    """The lines of call number `call` (from 0): the same for the same seed. Callers begin at different clips."""
    if script in ("plain", "noise", "loss"):
        return plan_lines(voices.clips, turns, talk.barge_in_every, talk.interrupt_after_ms, call)
    chance = random.Random(f"{seed}/{script}/{call}")
    return [_line(_of(script, turn), voices, turn, call, chance) for turn in range(1, turns + 1)]


def _of(script: Script, turn: int) -> Script:
    return _MIX[(turn - 1) % len(_MIX)] if script == "mixed" else script


def _line(script: Script, voices: Voices, turn: int, call: int, chance: random.Random) -> Line:
    clip = voices.clips[(call + turn - 1) % len(voices.clips)]
    match script:
        case "pauses":
            long = [c for c in voices.clips if c.seconds >= _LEAST_PAUSED_S] or list(voices.clips)
            gap_ms = chance.randrange(*_GAP_MS, 20)
            return Line(hold(long[(call + turn - 1) % len(long)], gap_ms), gap_ms=gap_ms)
        case "interruptions":
            return Line(clip, chance.randrange(*_INTERRUPT_MS, 20) if turn > 1 and turn % 2 == 0 else None)
        case "coughs":
            return Line(clip, aside=_aside("cough", voices.coughs, chance))
        case "backchannels":
            return Line(clip, aside=_aside("backchannel", voices.backchannels, chance))
        case _:
            return Line(clip)


def _aside(kind: AsideKind, clips: Sequence[Clip], chance: random.Random) -> Aside:
    if not clips:
        raise InvalidInputError("--script", expected=f"recordings for a {kind}", got="none")
    return Aside(kind, chance.choice(list(clips)), chance.randrange(*_ASIDE_MS, 20))
