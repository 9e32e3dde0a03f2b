"""The caller speaks while the agent does: is it an interruption, a backchannel or a cough?

Playing pauses first and the question is answered after: by the words when there are any, by how long the sound
lasted when there are none.
"""

from typing import Literal

from services.common.settings import TurnSettings
from services.orchestrator.turns.lexicon.words import words_of

_BACKCHANNELS_TEXT = """
mhm mm mmm hm hmm uh huh uhhuh aha ah oh yeah yep ok okay right sure i see good
"""
_BACKCHANNELS = frozenset(_BACKCHANNELS_TEXT.split())
MAX_BACKCHANNEL_WORDS = 3
# A decision waits this much longer for words that are being decoded.
WORDS_GRACE_MS = 400

Verdict = Literal["wait", "resume", "stop"]


def is_backchannel(text: str) -> bool:
    """Only sounds of listening ("mhm", "okay", "I see"): the agent should go on."""
    words = words_of(text.replace("-", " "))
    return 0 < len(words) <= MAX_BACKCHANNEL_WORDS and all(word in _BACKCHANNELS for word in words)


def by_words(text: str) -> Verdict:
    """A final text decides: words take the floor, nothing and backchannels give it back."""
    return "resume" if not text.strip() or is_backchannel(text) else "stop"


def by_duration(
    settings: TurnSettings, *, since_onset_ms: float, voiced_ms: float, still_speaking: bool, partial: str
) -> Verdict:
    """Before a final text: short sounds give the floor back at the decision time, long ones take it."""
    if partial and not is_backchannel(partial) and len(words_of(partial)) >= 2:
        return "stop"
    if since_onset_ms < settings.barge_in_decide_ms:
        return "wait"
    if voiced_ms < settings.barge_in_stop_speech_ms:
        # A sound that goes on is decided by what becomes of it.
        return "wait" if still_speaking else "resume"
    if still_speaking or since_onset_ms >= settings.barge_in_decide_ms + WORDS_GRACE_MS:
        return "stop"
    return "wait"
