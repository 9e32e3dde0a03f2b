"""What the turn-taker remembers of the utterance in progress."""

from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

from services.orchestrator.turns.completeness import Reading
from services.orchestrator.turns.lexicon.words import words_of

Doubt = Literal["low score", "language"]

# A dip that is void at once was a gap between words: the next one in this utterance is believed a little later.
SHORT_DIP_MS = 120
LATER_EACH_MS = 40
LATER_MOST_MS = 120


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
    # What the recogniser said when it was asked, where it was sure; how often it was asked about this sound.
    told: str = ""
    words_asked: int = 0
    wordless: int = 0
    text: str | None = None
    text_ns: int = 0
    logprob: float = 0.0
    # How many words there were at the latest dip that brought new ones, and where speech ended then.
    words: int = 0
    words_end_ns: int = 0
    doubt: Doubt | None = None
    reading: Reading | None = None
    late: bool = False
    asked_again: bool = False
    # Dips that were void at once, and replies that were prepared for nothing.
    short_dips: int = 0
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

    def text_came(self, text: str, last_voiced_ns: int, *, noisy_line: bool) -> None:
        """Words up to the dip. On a noisy line sound that adds none was not the caller: the silence counts on."""
        count = len(words_of(text))
        if not noisy_line or count > self.words:
            self.words, self.words_end_ns = count, last_voiced_ns
        self.text = text

    @property
    def later_dip_ms(self) -> int:
        """How much longer than usual a pause must be to count as a dip."""
        return min(self.short_dips * LATER_EACH_MS, LATER_MOST_MS)

    def went_on(self, after_dip_ms: float) -> None:
        """Speech went on, so long after the dip: what was thought of it is void."""
        self.short_dips += after_dip_ms < SHORT_DIP_MS
        self.dipped = self.late = self.asked_again = False
        self.probability = self.text = self.speculated = self.doubt = None
        self.asks = self.in_this_dip = 0
        self.logprob = 0.0
