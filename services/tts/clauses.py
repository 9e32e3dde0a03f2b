"""Streaming text in, clauses out: where speech may be cut so that it starts early and still sounds right.

Sans-I/O. The cuts depend on the text alone, never on how it was split into pieces (a property test says so), so
that the same prompt always gives the same clauses and finds them in the phrase cache. Joined, the clauses are the
input, character for character. The first clause is small, later ones grow: audio lasts longer than the text of the
next clause takes to arrive. `relieve` is the exception: when the text stalls, or the
listener would soon hear silence, what is held is spoken.
"""

import re
from dataclasses import dataclass
from enum import IntEnum

from services.tts.language import words_of

# A clause shorter than this is not worth a cut at a mere comma ("Yes," is; "A," is not).
_MIN_CHARS = 4
# Less than half a second of speech would end before the next clause is there.
_MIN_OPENING_CHARS = 10
# What later clauses may grow to, by index; the last holds for all others.
_GROWTH = (60, 120)
# Without any sensible boundary a clause of this many times its limit is cut between words.
_PATIENCE = 2
# No clause is longer: what has no cut in so many characters is no language.
_LONGEST = 400
# Enough characters to know any conjunction by, and to find the last word of what is held.
_LOOK_AHEAD = 10
_LOOK_BACK = 64

_CLOSERS = "\"'”’»)]}*_`"
_TIME_OF_DAY = frozenset(("a.m", "p.m", "etc", "usw"))


class _Strength(IntEnum):
    """How good a place for a cut is."""

    NONE = 0
    WORD = 1
    PREPOSITION = 2
    CONJUNCTION = 3
    # The first words of an answer, when nothing better comes within them: heard while the rest is made.
    OPENING = 4
    PHRASE = 5
    SENTENCE = 6


@dataclass(frozen=True, slots=True)
class Clause:
    """A stretch of the input: its index, exact text, and offset in the input in characters."""

    index: int
    text: str
    offset: int


class ClauseSplitter:
    """Feed text, get clauses. One per utterance.

    `first_chars` is the length the first clause should not exceed where a sensible boundary exists. With `first_words`
    it ends after so many words where the last of them can end a phrase ("I can help", not "Your order is"); 0: never.
    """

    def __init__(self, first_chars: int = 25, locale: str = "en-US", first_words: int = 0) -> None:
        self._words = words_of(locale)
        self._first_chars = first_chars
        # Words that lean on the next one are known per language: without them, no cut within a phrase.
        self._first_words = first_words if self._words.leaning else 0
        self._held = ""
        # Position in `_held` up to which boundaries have been judged, and the best cut seen so far at each strength.
        self._scanned = 0
        self._cuts: dict[_Strength, int] = {}
        self._index = 0
        self._offset = 0

    def push(self, text: str) -> list[Clause]:
        """Take a piece of text; return the clauses that are complete now."""
        clauses: list[Clause] = []
        self._held += text
        while (cut := self._next_cut()) is not None:
            clauses.append(self._emit(cut))
        return clauses

    def relief(self, *, urgent: bool) -> int:
        """Characters that `relieve` would give out; 0 when there is no fit place.

        Fit is a text that ends as a sentence does, though what follows is not known, or a boundary within; when it
        is urgent (the listener would soon hear silence) any place between words.
        """
        if self._held.rstrip(_CLOSERS + " ").endswith((".", "!", "?", "…")) and _speakable(self._held):
            return len(self._held)
        least = _Strength.WORD if urgent else _Strength.PHRASE
        cuts = [cut for strength, cut in sorted(self._cuts.items(), reverse=True) if strength >= least]
        return next((cut for cut in cuts if _speakable(self._held[:cut])), 0)

    def relieve(self, *, urgent: bool) -> list[Clause]:
        """Give out part of what is held, though it is short or what follows is not known: no more text comes now."""
        cut = self.relief(urgent=urgent)
        return [self._emit(cut), *self.push("")] if cut else []

    def flush(self) -> list[Clause]:
        """Give out all that is held: at the end of the text, or because the sender says that it is a whole clause."""
        clauses = self.push("")
        if self._held:
            clauses.append(self._emit(len(self._held)))
        return clauses

    def _emit(self, cut: int) -> Clause:
        clause = Clause(self._index, self._held[:cut], self._offset)
        self._held = self._held[cut:]
        self._index += 1
        self._offset += cut
        self._scanned = 0
        self._cuts = {}
        return clause

    def _limit(self) -> int:
        if self._index == 0:
            return self._first_chars
        return max(self._first_chars, _GROWTH[min(self._index, len(_GROWTH)) - 1])

    def _next_cut(self) -> int | None:
        """Judge each new position once, left to right; a position whose look-ahead is missing waits for more text."""
        limit = self._limit()
        while self._scanned < len(self._held):
            position = self._scanned + 1
            strength = self._judge(position)
            if strength is None:
                return None
            self._scanned = position
            if strength is not _Strength.NONE:
                self._cuts[strength] = position
            cut = self._decide(position, strength, limit)
            if cut is not None:
                return cut
        return None

    def _decide(self, position: int, strength: _Strength, limit: int) -> int | None:
        """Cut now, at which position? Sentences at once; phrases when they are long enough for their turn."""
        if strength is _Strength.SENTENCE and _speakable(self._held[:position]):
            return position
        if strength is _Strength.PHRASE and self._worth_a_phrase(position, limit):
            return position
        if strength is _Strength.OPENING:
            return position
        if position >= limit:
            for usable in (_Strength.PHRASE, _Strength.CONJUNCTION):
                cut = self._cuts.get(usable, 0)
                if cut >= (_MIN_CHARS if usable is _Strength.PHRASE else limit // 2):
                    return cut
        if position >= limit * _PATIENCE:
            for last_resort in (_Strength.PREPOSITION, _Strength.WORD):
                if self._cuts.get(last_resort, 0) >= limit // 2:
                    return self._cuts[last_resort]
        return position if position >= _LONGEST else None

    def _worth_a_phrase(self, position: int, limit: int) -> bool:
        if not _speakable(self._held[:position]):
            return False
        return position >= (_MIN_CHARS if self._index == 0 else limit // 2)

    def _judge(self, position: int) -> _Strength | None:
        """How good a cut right before `position` is; None: more text is needed to know."""
        char = self._held[position - 1]
        if char in "\n。！？।":
            return _Strength.SENTENCE
        if char in "，、；：":
            return _Strength.PHRASE
        token = _last_token(self._held[max(0, position - 1 - _LOOK_BACK) : position - 1])
        if char in ".!?…":
            return self._judge_stop(position, char, token)
        if char in ",;:":
            return self._judge_comma(position, char, token)
        if char in "—–":
            return self._judge_dash(position)
        if char.isspace():
            return self._judge_space(position, token)
        return _Strength.NONE

    def _judge_stop(self, position: int, char: str, token: str) -> _Strength | None:
        """A full stop ends a sentence unless it belongs to a number, an abbreviation, an initial or an address."""
        plain = _is_plain(token)
        if char in "!?" and plain:
            return _Strength.SENTENCE
        following = self._held[position : position + 1]
        if not following:
            return None
        if following in ".!?…":
            return _Strength.NONE
        if not following.isspace() and following not in _CLOSERS:
            return _Strength.NONE
        if char != ".":
            return _Strength.SENTENCE
        return self._judge_dot(position, token.lstrip("\"'“‘«([{*_`"))

    def _judge_dot(self, position: int, token: str) -> _Strength | None:
        bare = token.lower().rstrip(".")
        is_initial = len(bare) == 1 and bare.isalpha() and bare != "i"
        is_dotted = re.fullmatch(r"\w(\.\w)+", bare) is not None
        if not (is_initial or is_dotted or bare in self._words.abbreviations or bare.isdigit()):
            return _Strength.SENTENCE
        if bare.isdigit():
            # "3. Mai" is an ordinal; "1. Open the lid" numbers a list; "It costs 5. Then" ends.
            starts = not self._held[: position - 1].strip()[: -len(token)].strip()
            return _Strength.NONE if starts or self._words.ordinal_dots else _Strength.SENTENCE
        if bare not in _TIME_OF_DAY:
            return _Strength.NONE
        following = self._held[position:].lstrip()
        if not following:
            return None
        return _Strength.SENTENCE if following[0].isupper() else _Strength.NONE

    def _judge_comma(self, position: int, char: str, token: str) -> _Strength | None:
        if char != ":" and _is_plain(token):
            return _Strength.PHRASE
        following = self._held[position : position + 1]
        if not following:
            return None
        return _Strength.PHRASE if following.isspace() else _Strength.NONE

    def _judge_dash(self, position: int) -> _Strength | None:
        following = self._held[position : position + 1]
        if not following:
            return None
        before = self._held[position - 2 : position - 1]
        between_digits = before.isdigit() and following.isdigit()
        return _Strength.NONE if between_digits else _Strength.PHRASE

    def _opens(self, position: int, token: str) -> bool:
        """The first clause has words enough to be heard while the rest is made."""
        if self._index or not self._first_words or position < _MIN_OPENING_CHARS:
            return False
        if token.lower() in self._words.conjunctions | self._words.prepositions:
            return False
        return len(self._held[:position].split()) >= self._first_words

    def _judge_space(self, position: int, token: str) -> _Strength | None:
        """After a space: a conjunction ahead is a fair place, any other word a last resort."""
        if not _is_plain(token) or token.lower() in self._words.leaning:
            return _Strength.NONE
        ahead = self._held[position : position + _LOOK_AHEAD]
        if self._opens(position, token):
            # One character tells that the word before is whole and that no number follows.
            return None if not ahead else _Strength.OPENING if ahead[0].isalpha() else _Strength.NONE
        word = re.match(r"\S*(?=\s)", ahead)
        if word is None:
            # The next word is not whole yet; one that fills the look-ahead is no conjunction.
            return None if len(ahead) < _LOOK_AHEAD else _Strength.WORD
        if not word.group() or word.group()[0].isdigit():
            return _Strength.NONE
        if word.group().lower() in self._words.conjunctions:
            return _Strength.CONJUNCTION
        return _Strength.PREPOSITION if word.group().lower() in self._words.prepositions else _Strength.WORD


def _last_token(text: str) -> str:
    """The run of non-space characters at the end of `text`."""
    return "" if not text or text[-1].isspace() else text.split()[-1]


def _is_plain(token: str) -> bool:
    """A word and nothing else (no digit, dot, slash or @, as numbers, abbreviations and addresses have)."""
    return bool(token) and all(c.isalpha() or c in "'’-\"“*_" for c in token) and any(c.isalpha() for c in token)


def _speakable(text: str) -> bool:
    return any(c.isalnum() for c in text)
