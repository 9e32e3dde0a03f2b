"""What the turn-taker remembers of the utterance in progress."""

from dataclasses import dataclass, field
from itertools import takewhile
from typing import Literal

from services.orchestrator.turns.barge_in import Told
from services.orchestrator.turns.completeness import Reading
from services.orchestrator.turns.lexicon.words import words_of

Doubt = Literal["low score", "language"]

# A dip that is void at once was a gap between words: the next one in this utterance is believed a little later.
SHORT_DIP_MS = 120
LATER_MOST_DIPS = 3
# Partial texts in a row without a new word, after which noise is not taken for speech: with words known, and not.
IDLE_PARTIALS, IDLE_PARTIALS_WORDLESS = 3, 6


@dataclass(slots=True)
class Utterance:
    """`contested`: it began while the agent had the floor. `keyed`: the answer is keyed, these words are none."""

    number: int
    onset_ns: int
    contested: bool = False
    keyed: bool = False
    # The dip it is in: the opinions on it, the texts and what they read like.
    dipped: bool = False
    forced: bool = False
    probability: float | None = None
    probability_ns: int = 0
    asks: int = 0
    partial: str = ""
    # What the last two partial texts agree on, and how many in a row had no words.
    agreed: str = ""
    # What the recogniser said when it was asked; how often it was asked about this sound, and answered.
    told: Told | None = None
    words_asked: int = 0
    answers: int = 0
    wordless: int = 0
    text: str | None = None
    text_ns: int = 0
    logprob: float = 0.0
    ending: float | None = None
    # How many words there were at the latest dip that brought new ones, and where speech ended then.
    words: int = 0
    words_end_ns: int = 0
    # On a noisy line: a partial text said so, whose time is not that of the last word.
    words_guessed: bool = False
    # So many partial texts in a row brought no new words although speech goes on.
    idle_partials: int = 0
    doubt: Doubt | None = None
    reading: Reading | None = None
    late: bool = False
    asked_again: bool = False
    # Dips that were void at once, and replies that were prepared for nothing.
    short_dips: int = 0
    # Pauses in it that may have been the caller's.
    pauses_ms: list[float] = field(default_factory=list)
    speculated: str | None = None
    speculations: int = 0
    # Of them, those of the pause that lasts now.
    in_this_dip: int = 0
    # The contest with the agent: the sound being judged began at `burst_ns` (0: not yet), after this much speech.
    paused: bool = False
    resumed: bool = False
    stopped: bool = False
    burst_ns: int = 0
    voiced_before_ns: int = 0

    def __post_init__(self) -> None:
        self.burst_ns = self.onset_ns

    def partial_came(self, text: str) -> None:
        """Words so far. Two in a row that begin alike are believed sooner than one: what noise is taken for changes."""
        now = words_of(text)
        pairs = takewhile(lambda pair: pair[0] == pair[1], zip(words_of(self.partial), now, strict=False))
        self.agreed = " ".join(word for word, _ in pairs)
        self.wordless = 0 if now else self.wordless + 1
        self.partial = text

    def text_came(self, text: str, last_voiced_ns: int, *, noisy_line: bool) -> bool:
        """Words up to the dip: whether there are new ones. On a noisy line sound that adds none was not the caller: the
        silence counts on.
        """
        count = _count(text)
        new = count > self.words
        guessed = self.words_guessed and self.idle_partials < IDLE_PARTIALS
        if not noisy_line or new or guessed:
            self.words, self.words_end_ns, self.words_guessed = count, last_voiced_ns, False
        self.text = text
        return new

    def idle(self, partial: str, at_ns: int) -> bool:
        """Speech goes on and partial texts bring no new words, for so long that it hardly is the caller's."""
        agreed = _count(self.agreed)
        if agreed > self.words:
            self.words, self.words_end_ns, self.words_guessed = agreed, at_ns, True
            self.idle_partials = 0
        elif _count(partial) > self.words:
            self.idle_partials = 0
        else:
            self.idle_partials += 1
        return self.idle_partials >= (IDLE_PARTIALS if self.words else IDLE_PARTIALS_WORDLESS)

    def later_dip_ms(self, each_ms: int) -> int:
        """How much longer than usual a pause must be to count as a dip: `each_ms` for every short one so far."""
        return min(self.short_dips, LATER_MOST_DIPS) * each_ms

    def went_on(self, after_dip_ms: float) -> None:
        """Speech went on, so long after the dip: what was thought of it is void."""
        self.short_dips += after_dip_ms < SHORT_DIP_MS
        self.dipped = self.late = self.asked_again = False
        self.probability = self.text = self.speculated = self.doubt = None
        self.asks = self.in_this_dip = 0
        self.logprob, self.ending = 0.0, None


def _count(text: str) -> int:
    """How much was said: words, and the digits of numbers, whose grouping changes from text to text."""
    return sum(len(word) if word.isdigit() else 1 for word in words_of(text))
