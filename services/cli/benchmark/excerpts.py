"""The turns worth listening to: the worst ten of a benchmark and a typical one, as short two-channel WAVs.

Worst are turns that went wrong (not answered, cut off, talked over, an agent that a cough stopped), then the slowest.
At most half of the ten went wrong, as long as there are slow ones to show.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from services.cli.benchmark.request import Cell
from services.cli.benchmark.result import CallResult
from services.cli.caller import CallerLeg
from services.cli.measure import TurnHeard
from services.cli.recording import stereo_wav

WORST = 10
_WRONG = 5
# 8 kHz, two channels, 16 bit: 32 kB a second, so that eleven of them stay below 4 MB in a page.
RATE_HZ = 8000
_LONGEST_S = 8.0
_BEFORE_END_S, _AFTER_S, _ANSWER_S = 3.0, 4.5, 2.5
_LEAD_S = 0.4
_TYPICAL = "typical"


@dataclass(frozen=True, slots=True)
class Excerpt:
    """One turn's sound. `badness` sorts, worst first; `zero_ms` is where the caller's speech ends in it."""

    cell: Cell
    call: int
    turn: int
    why: str
    badness: float
    zero_ms: int
    wav: bytes

    @property
    def file(self) -> str:
        """The name it is saved under."""
        cell = self.cell
        return f"{cell.transport}-{cell.calls}-{cell.script}-call{self.call}-turn{self.turn}.wav"

    @property
    def typical(self) -> bool:
        """Shown for what is usual, not for being bad."""
        return self.why == _TYPICAL

    @property
    def wrong(self) -> bool:
        """Something went wrong, beyond being slow."""
        return self.badness >= _WRONG_BADNESS


_WRONG_BADNESS = 1e6


def cut_excerpts(cell: Cell, calls: Sequence[CallResult]) -> list[Excerpt]:
    """The worst ten turns of a cell and a typical one; the calls' legs must still be there."""
    found: list[tuple[float, str, CallResult, TurnHeard]] = []
    for call in calls:
        upset = {a.turn: f"{a.kind}: {a.outcome}" for a in call.asides if a.outcome in ("stopped", "answered_instead")}
        for turn in call.turns:
            if turn.outcome not in ("answered", "caller_late"):
                found.append((_WRONG_BADNESS * 2, turn.outcome, call, turn))
            elif turn.turn in upset:
                found.append((_WRONG_BADNESS, upset[turn.turn], call, turn))
            elif turn.voice_to_voice_ms is not None:
                found.append((turn.voice_to_voice_ms, "slow", call, turn))
    found.sort(key=lambda item: -item[0])
    wrong = [item for item in found if item[0] >= _WRONG_BADNESS][:WORST]
    answered = [item for item in found if item[0] < _WRONG_BADNESS]
    chosen = [*wrong, *answered[:WORST]]
    if answered:
        badness, _, call, turn = answered[len(answered) // 2]
        chosen.append((badness, _TYPICAL, call, turn))
    return [_cut(cell, *item) for item in chosen]


def worst_of(excerpts: Sequence[Excerpt]) -> list[Excerpt]:
    """The worst ten of several cells, and the typical turn of the first cell that has one."""
    ordered = sorted((e for e in excerpts if not e.typical), key=lambda e: -e.badness)
    wrong, slow = [e for e in ordered if e.wrong], [e for e in ordered if not e.wrong]
    wrong = wrong[: max(_WRONG, WORST - len(slow))]
    return [*wrong, *slow[: WORST - len(wrong)], *[e for e in excerpts if e.typical][:1]]


def _cut(cell: Cell, badness: float, why: str, call: CallResult, turn: TurnHeard) -> Excerpt:
    leg = call.leg
    assert leg is not None
    start_ns = max(turn.onset_ns - int(_LEAD_S * 1e9), turn.end_ns - int(_BEFORE_END_S * 1e9))
    end_ns = _end_ns(leg, turn)
    length_ns = min(end_ns - start_ns, int(_LONGEST_S * 1e9))
    wav = stereo_wav(leg.sent, leg.heard, start_ns, start_ns + length_ns, RATE_HZ)
    return Excerpt(cell, call.index, turn.turn, why, badness, (turn.end_ns - start_ns) // 10**6, wav)


def _end_ns(leg: CallerLeg, turn: TurnHeard) -> int:
    after_ns = turn.end_ns + int(_AFTER_S * 1e9)
    if turn.answer_ns is not None:
        after_ns = turn.answer_ns + int(_ANSWER_S * 1e9)
    return min(after_ns, leg.heard.time_ns(leg.heard.samples))
