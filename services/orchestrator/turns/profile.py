"""Kinds of callers, as data, and what a caller's own pauses teach within the call.

A pause inside a turn is modelled as exponential beyond the first dip, with mean `pause_ms`; the mean is the posterior
of a gamma prior worth `PRIOR_PAUSES` pauses of the profile, so that it moves with the caller and cannot run away.
"""

from dataclasses import dataclass
from typing import Literal

ProfileName = Literal["default", "elderly", "noisy", "dictation"]

PRIOR_PAUSES = 4.0
# Longer silences inside one turn are something else: a search for a paper, a word to somebody in the room.
LONGEST_PAUSE_MS = 4_000.0


@dataclass(frozen=True, slots=True)
class CallerProfile:
    """`pause_ms`: expected pause inside a turn, and its bounds within a call. `log_odds`: belief that a turn is over
    before anything is heard (negative: this caller goes on). `audio`: trust in the turn model, as a factor.
    `least_ms` and `most_ms` are factors on the settings' shortest and longest wait.
    """

    name: ProfileName
    pause_ms: float = 450.0
    pause_bounds_ms: tuple[float, float] = (300.0, 900.0)
    log_odds: float = 0.0
    audio: float = 1.0
    least: float = 1.0
    most: float = 1.0


PROFILES: dict[ProfileName, CallerProfile] = {
    "default": CallerProfile("default"),
    # Slower speech, longer searches for a word (turn-taking gaps of older speakers are about half as long again).
    "elderly": CallerProfile("elderly", 700.0, (450.0, 1_400.0), log_odds=-0.5, least=1.5, most=1.5),
    # The turn model hears the street too: the words weigh more, and endings are seen late.
    "noisy": CallerProfile("noisy", 500.0, (350.0, 1_000.0), audio=0.5, least=1.2),
    # Groups of digits with a breath between them.
    "dictation": CallerProfile("dictation", 800.0, (500.0, 1_600.0), log_odds=-1.0, least=1.3, most=1.6),
}


class CallerPauses:
    """Follows one caller. `pause_ms` is what a pause inside this caller's turns is expected to last."""

    def __init__(self, profile: CallerProfile) -> None:
        self.profile = profile
        self._sum_ms = profile.pause_ms * PRIOR_PAUSES
        self._weight = PRIOR_PAUSES

    @property
    def pause_ms(self) -> float:
        """Within the profile's bounds."""
        low, high = self.profile.pause_bounds_ms
        return min(max(self._sum_ms / self._weight, low), high)

    @property
    def pace(self) -> float:
        """How this caller's pauses compare with the profile's: 1.0 as expected, 2.0 twice as long."""
        return self.pause_ms / self.profile.pause_ms

    def paused(self, ms: float) -> None:
        """The caller went on after a pause of `ms`, dip included: it was none of the end."""
        self._sum_ms += min(max(ms, 0.0), LONGEST_PAUSE_MS)
        self._weight += 1.0
