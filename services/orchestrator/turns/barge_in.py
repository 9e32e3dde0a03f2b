"""The caller speaks while the agent does: is it an interruption, a backchannel, a cough, an echo, the television?

Playing pauses first and the question is answered after. While it is paused nobody is talked over, and a stop cannot
be taken back; so short sounds give the floor back at once, clear words take it at once, and a long sound without
words is given a little more time to become words.
"""

from dataclasses import dataclass
from typing import Literal

from services.common.settings import TurnSettings
from services.orchestrator.turns.echo import is_echo
from services.orchestrator.turns.expectation import Expectation
from services.orchestrator.turns.level import FAINT_DB
from services.orchestrator.turns.lexicon.words import Lexicon, words_of
from services.orchestrator.turns.speech import NOISY_LINE_DB

MAX_BACKCHANNEL_WORDS = 4
# So many words of a text that may still change are an interruption.
LEAST_PARTIAL_WORDS = 2
# The recogniser is asked what a sound is when so much of it was voiced, and again. Its words come 90 ms later: the
# first answer in time to decide within 500 ms of the onset.
ASK_WORDS_MS = (352, 608)
# One word of an answer in which it is less sure than this (log-probability per token) takes the floor from nobody.
TOLD_LOGPROB = -0.6
# A long sound is speech when so much of it was voiced.
LEAST_VOICED = 0.6
# So many partial texts in a row without words: the recogniser hears no speech in it.
WORDLESS_PARTIALS = 2
# On a line so noisy (speech.py) words may be somebody else's: one partial text is not enough.
NOISY_DB = NOISY_LINE_DB
# Below this it is: other voices reach 9 dB over their own mean, callers over noise 10 dB under them 12 dB and more.
MURMUR_DB = 11.0

Taken = Literal["speech", "words"]
# Who has the floor now and why; None: not yet decided.
Verdict = tuple[Literal["stop"], Taken] | tuple[Literal["resume"], str] | None


@dataclass(frozen=True, slots=True)
class Sound:
    """What is known of it: since when, how much of it was speech, whether it goes on, and how loud it is."""

    since_onset_ms: float
    voiced_ms: float
    still_speaking: bool
    distant: bool = False
    below_usual_db: float | None = None
    # The line is: other voices may be heard in it.
    noisy: bool = False


@dataclass(frozen=True, slots=True)
class Overheard:
    """What the agent is saying, and what it asks for."""

    lexicon: Lexicon
    expected: Expectation
    saying: str = ""


def is_backchannel(text: str, lexicon: Lexicon) -> bool:
    """Only sounds of listening ("mhm", "okay", "I see") or laughter: the agent should go on."""
    words = words_of(text)
    if not words:
        return False
    if all(word in lexicon.laughter for word in words):
        return True
    heard_only = lexicon.backchannels | lexicon.laughter
    return len(words) <= MAX_BACKCHANNEL_WORDS and all(word in heard_only for word in words)


def by_words(text: str, sound: Sound, over: Overheard) -> Verdict:
    """A final text decides: words take the floor; nothing, backchannels, echo and other people give it back."""
    if not text.strip():
        return "resume", "no words"
    if sound.distant:
        return "resume", "background"
    if is_echo(text, over.saying, sound.below_usual_db) and not _chosen(text, over):
        return "resume", "echo"
    if is_backchannel(text, over.lexicon) and not _answers(text, over):
        return "resume", "backchannel"
    return "stop", "words"


@dataclass(frozen=True, slots=True)
class SoFar:
    """Before a final text: the newest partial, what the last two agree on, how many in a row had no words; `told`: what
    the recogniser answered when it was asked, and was sure of.
    """

    partial: str = ""
    agreed: str = ""
    wordless: int = 0
    told: str = ""


def by_sound(settings: TurnSettings, sound: Sound, so_far: SoFar, over: Overheard) -> Verdict:
    """Before a final text: what the sound and the words so far decide.

    On a noisy line a partial text is believed when the next one agrees: what noise is taken for changes each time.
    """
    partial = so_far.partial
    heard = by_words(partial, sound, over)
    faint = sound.below_usual_db is not None and sound.below_usual_db >= FAINT_DB
    believed = so_far.agreed if sound.noisy else partial
    if heard == ("stop", "words") and not faint and len(words_of(believed)) >= LEAST_PARTIAL_WORDS:
        return heard
    if so_far.told and not faint and by_words(so_far.told, sound, over) == ("stop", "words"):
        return "stop", "words"
    if sound.since_onset_ms < settings.barge_in_decide_ms:
        return None
    if sound.distant:
        return "resume", "background"
    if partial and heard == ("resume", "echo"):
        return heard
    if not sound.still_speaking:
        short = sound.voiced_ms < settings.barge_in_stop_speech_ms
        # Words that come later than this still decide: a resume can be followed by a stop.
        waited = sound.since_onset_ms >= settings.barge_in_words_ms
        if short or waited:
            return "resume", "short sound" if short else "no words yet"
        return None
    if so_far.wordless >= WORDLESS_PARTIALS and sound.since_onset_ms >= settings.barge_in_words_ms:
        return "resume", "no words"
    if so_far.agreed and heard == ("resume", "backchannel") and sound.since_onset_ms >= settings.barge_in_words_ms:
        # What goes on behind "okay" is the noise of the line.
        return heard
    if faint:
        # Its final text decides.
        return None
    # Mostly voiced for so long: somebody speaks, whatever the words will be. Words come sooner; noise has none.
    long_ms = 2 * settings.barge_in_words_ms
    long = sound.since_onset_ms >= long_ms and sound.voiced_ms >= LEAST_VOICED * long_ms
    return ("stop", "speech") if long else None


def _answers(text: str, over: Overheard) -> bool:
    """ "Yes" and "no" answer a question that wants them, even before it is finished; "okay" is too easily said."""
    return over.expected.kind in ("yes_no", "choice") and any(w in over.lexicon.plain_answers for w in words_of(text))


def _chosen(text: str, over: Overheard) -> bool:
    """An offered choice, repeated by the caller, sounds like the agent's own words."""
    words = set(words_of(text))
    return any(words & set(option.split()) for option in over.expected.options)
