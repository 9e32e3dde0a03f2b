"""How long to wait after the last voiced frame before the turn is over.

A sequential test. Let L be the log-odds that the turn is complete, from the audio (turn model), the text
(completeness.py, which knows the question) and the caller's profile:

    L = BIAS + AUDIO * logit(p_audio) + TEXT * l_text + profile

If the turn is not complete the caller goes on, and pauses inside turns last about exponentially with mean `pause`:
after a silence of t the odds that it is a pause are exp(-L - t/pause). The turn ends when these odds fall to a
tolerated risk, which makes the wait linear in L:

    wait(L) = pause * (risk - SLOPE * L),   at least endpoint_complete_ms, at most endpoint_incomplete_ms

`endpoint_unsure_ms` is the wait of an average caller at even odds, and holds the risk; `endpoint_shift_ms` moves the
whole curve, bounds included, and is what a benchmark sweeps. An answer to which nothing can be added need not wait for
the lower bound.
"""

import math
from dataclasses import dataclass

from services.common.settings import TurnSettings
from services.orchestrator.turns.completeness import Reading
from services.orchestrator.turns.profile import CallerPauses

# As WEIGHTS in completeness.py. The data alone would put AUDIO at 0.06: the set is mostly synthetic speech, whose
# fragments sound finished; on the recorded speech in it 0.15 is best (48 dips), so the turn model keeps some say.
BIAS = -0.3
AUDIO = 0.15
TEXT = 1.0
# How steeply the wait follows the log-odds. 1 would be right if the odds were exact; they are shrunk by the prior, and
# by signs that count the same for every caller.
SLOPE = 2.4
# The pause of an average caller, for which the settings are meant.
AVERAGE_PAUSE_MS = 450.0
# The turn model is not believed beyond these odds.
MOST_LOGIT = 3.5


@dataclass(frozen=True, slots=True)
class Wait:
    """`ms` after the last voiced frame, the log-odds it follows from, and the reason in words."""

    ms: int
    log_odds: float
    reason: str


def logit(probability: float) -> float:
    """Log-odds, within ±MOST_LOGIT."""
    if probability <= 0.0 or probability >= 1.0:
        return math.copysign(MOST_LOGIT, probability - 0.5)
    return max(-MOST_LOGIT, min(MOST_LOGIT, math.log(probability / (1 - probability))))


def log_odds(audio: float | None, text: Reading | None, caller: CallerPauses) -> float:
    """That the turn is complete. `audio`: the turn model's p(complete); None: not known (yet)."""
    heard = 0.0 if audio is None else AUDIO * caller.profile.audio * logit(audio)
    return BIAS + heard + (0.0 if text is None else TEXT * text.log_odds) + caller.profile.log_odds


def endpoint_wait(settings: TurnSettings, audio: float | None, text: Reading | None, caller: CallerPauses) -> Wait:
    """The wait as known so far; ask again whenever something new is known."""
    odds = log_odds(audio, text, caller)
    profile = caller.profile
    certain = text is not None and text.certain
    least = settings.pause_ms if certain else settings.endpoint_complete_ms * profile.least
    most = settings.endpoint_incomplete_ms * profile.most * max(1.0, caller.pace)
    wait = caller.pause_ms * (settings.endpoint_unsure_ms / AVERAGE_PAUSE_MS - SLOPE * odds)
    ms = min(max(wait, least), most) + settings.endpoint_shift_ms
    return Wait(max(0, round(ms)), odds, _reason(audio, text, odds))


def _reason(audio: float | None, text: Reading | None, odds: float) -> str:
    """For logs and pages: what spoke for the wait, never what was said."""
    verdict = "complete" if odds >= 0.8 else "open" if odds <= -1.0 else "unsure"
    signs = list(text.signs) if text is not None else []
    if audio is None:
        signs.append("no prediction")
    return f"{verdict}: {', '.join(signs)}" if signs else verdict
