"""The caller speaks while the agent does: is it an interruption, a backchannel, a cough, an echo, the television?

Playing pauses first and the question is answered after. While it is paused nobody is talked over, and a stop cannot
be taken back; so short sounds give the floor back at once, clear words take it at once, and a long sound without
words is given a little more time to become words.
"""

from dataclasses import dataclass
from typing import Literal

from services.common.settings import TurnSettings
from services.orchestrator.turns.echo import alike, is_echo
from services.orchestrator.turns.expectation import Expectation
from services.orchestrator.turns.level import ECHO_DB, FAINT_DB
from services.orchestrator.turns.lexicon.words import Lexicon, words_of
from services.orchestrator.turns.speech import NOISY_LINE_DB

MAX_BACKCHANNEL_WORDS = 4
MAX_COMMAND_WORDS = 3
# So much of the letters of an unsure text and of what listeners say: it is that, misheard.
LEAST_ALIKE = 0.65
MAX_MISHEARD_WORDS = 3
# What has no word as long as this is spelled sound; a word alone must be longer, and surer.
LEAST_LETTERS, LEAST_LETTERS_ALONE = 3, 5
LEAST_TOLD_LOGPROB_ALONE = -0.9
# So many words of a text that may still change are an interruption.
LEAST_PARTIAL_WORDS = 2
# The recogniser is asked what a sound is when so much of it was voiced, and again. Its words come 90 ms later: the
# first answer in time to decide within 500 ms of the onset, the second when a sound without words is decided about.
ASK_WORDS_MS = (320, 512)
# An answer in which it is less sure than this (log-probability per token) takes the floor at no time; a less sure one
# does when the sound has lasted for OVERLAP_MS: coughs and most of what listeners hum are over by then.
TOLD_LOGPROB = -0.6
OVERLAP_MS = 450
# Somebody as loud as the caller who still speaks then is the caller, with whatever words, if they are not a listener's.
# On a quiet line only: in a noisy one voices go on behind a cough.
LONG_OVERLAP_MS = 680
# So much of it must have been voiced: bursts with gaps are a laugh.
OVERLAP_VOICED = 0.8
# Of unsure words, the least to be words at all; and where noise may be taken for words.
LEAST_TOLD_LOGPROB, LEAST_TOLD_LOGPROB_NOISY = -1.3, -0.75
MOST_NO_SPEECH_NOISY = 0.7
# A long sound is speech when so much of it was voiced.
LEAST_VOICED = 0.6
# One or two words that break off after so little speech are a hum misheard ("I have" for "uh-huh"): who wants the floor
# goes on.
UNFINISHED_MS = 450
MAX_UNFINISHED_WORDS = 2
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
    # How far below the usual level our own echo was in this call; None: there was none.
    echo_below_db: float | None = None


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
    if is_echo(text, over.saying, sound.below_usual_db, sound.echo_below_db) and not _chosen(text, over):
        return "resume", "echo"
    if is_backchannel(text, over.lexicon) and not _answers(text, over):
        return "resume", "backchannel"
    # In noise nobody knows how long it was voiced.
    if (sound.noisy or sound.voiced_ms < UNFINISHED_MS) and _unfinished(text, over.lexicon):
        return "resume", "unfinished"
    return "stop", "words"


def is_command(text: str, lexicon: Lexicon) -> bool:
    """Begins as only interruptions do ("wait", "hold on", "excuse me"): believed where other words are in doubt."""
    words = tuple(words_of(text))
    return any(words[:size] in lexicon.commands for size in range(1, MAX_COMMAND_WORDS + 1) if words[:size])


def is_misheard_listening(text: str, logprob: float, lexicon: Lexicon) -> bool:
    """Unsure words that sound like a listener's ("okay, look": "okay, okay")."""
    words = words_of(text)
    return logprob < TOLD_LOGPROB and len(words) <= MAX_MISHEARD_WORDS and _like_listening(words, lexicon)


def _like_listening(words: list[str], lexicon: Lexicon) -> bool:
    return any(alike(words, phrase) >= LEAST_ALIKE for phrase in lexicon.listening)


@dataclass(frozen=True, slots=True)
class Told:
    """What the recogniser answered when it was asked what the sound is, and how sure it was."""

    text: str = ""
    logprob: float = 0.0
    no_speech: float = 0.0

    def sure(self, most_no_speech: float) -> bool:
        """Words that may stop the agent at once."""
        return self.logprob >= TOLD_LOGPROB / (2 if self.no_speech > most_no_speech else 1)

    def likely(self, lexicon: Lexicon, *, noisy: bool) -> bool:
        """Words of some kind, and not a listener's, misheard ("go get it", "God": "got it")."""
        words = words_of(self.text)
        if not is_command(self.text, lexicon):
            alone = len(words) < LEAST_PARTIAL_WORDS
            if max(map(len, words), default=0) < (LEAST_LETTERS_ALONE if alone else LEAST_LETTERS):
                return False
            if alone and self.logprob < LEAST_TOLD_LOGPROB_ALONE:
                return False
            if _like_listening(words, lexicon):
                return False
        if noisy:
            return self.logprob >= LEAST_TOLD_LOGPROB_NOISY and self.no_speech <= MOST_NO_SPEECH_NOISY
        return self.logprob >= LEAST_TOLD_LOGPROB


@dataclass(frozen=True, slots=True)
class SoFar:
    """Before a final text: the newest partial, what the last two agree on, how many in a row had no words; `told`: the
    recogniser's newest answer, None: it has given none; `answers`: how many it gave about this sound.
    """

    partial: str = ""
    agreed: str = ""
    wordless: int = 0
    told: Told | None = None
    answers: int = 0


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
    if not faint and (taken := _by_overlap(settings, sound, so_far, over)) is not None:
        return "stop", taken
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


def _by_overlap(settings: TurnSettings, sound: Sound, so_far: SoFar, over: Overheard) -> Taken | None:
    """The recogniser's answer, and that the sound goes on, make it an interruption; None: not (yet)."""
    told = so_far.told
    words = told is not None and by_words(told.text, sound, over) == ("stop", "words")
    if told is not None and words and told.sure(settings.low_score_no_speech):
        return "words"
    goes_on = sound.still_speaking and sound.voiced_ms >= OVERLAP_VOICED * sound.since_onset_ms
    quieter = sound.below_usual_db is not None and sound.below_usual_db >= ECHO_DB
    if told is None or not goes_on or quieter:
        return None
    if words and told.likely(over.lexicon, noisy=sound.noisy) and sound.since_onset_ms >= OVERLAP_MS:
        return "words"
    if sound.noisy or sound.since_onset_ms < LONG_OVERLAP_MS or so_far.answers < len(ASK_WORDS_MS):
        return None
    listening = any(is_backchannel(text, over.lexicon) for text in (told.text, so_far.partial))
    return None if listening else "speech"


def _unfinished(text: str, lexicon: Lexicon) -> bool:
    words = words_of(text)
    if len(words) > MAX_UNFINISHED_WORDS or is_command(text, lexicon):
        return False
    return words[-1] in lexicon.open_last or tuple(words) in lexicon.open_phrases


def _answers(text: str, over: Overheard) -> bool:
    """ "Yes" and "no" answer a question that wants them, even before it is finished; "okay" is too easily said."""
    return over.expected.kind in ("yes_no", "choice") and any(w in over.lexicon.plain_answers for w in words_of(text))


def _chosen(text: str, over: Overheard) -> bool:
    """An offered choice, repeated by the caller, sounds like the agent's own words."""
    words = set(words_of(text))
    return any(words & set(option.split()) for option in over.expected.options)
