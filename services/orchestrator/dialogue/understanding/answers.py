"""What grammars alone decide: a person asked for, answers to the open question, repairs, values said unasked. Pure.

A small model reads "hundred and twenty" as 200, so it never reads a value; and where a grammar explains all the words,
no model is waited for. Order: a signal, a person (never deflected), again, drop it, then the open question.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Protocol

from services.common.personal import Personal
from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.bundles.model import Slot
from services.orchestrator.control.model import Scalar
from services.orchestrator.dialogue.locales import NO_REFERENCE, LocalePack
from services.orchestrator.dialogue.model import FAREWELL, Act, Legal, Reading
from services.orchestrator.dialogue.understanding.examples import plain
from services.orchestrator.dialogue.understanding.signals import signal, wanted
from services.orchestrator.dialogue.understanding.taking_back import not_wanted

# A yes or no surer than this needs nothing else to explain it.
SURE_YES_NO = 0.8
# Of an alternative of the recogniser's, when its best words say no value.
ALTERNATIVE = 0.8
# So few words beside a value are politeness, not another matter.
FEW_WORDS = 3
_UNASKED = frozenset({"enum", "money", "date", "iban", "phone", "ref"})
_NUMERIC = frozenset({"money", "date", "ref", "digits", "phone"})


class Today(Protocol):
    """The date, for "yesterday"."""

    def __call__(self) -> date:
        """Of the bundle's place."""
        ...


@dataclass(frozen=True, slots=True)
class Answered:
    """Acts the grammars found. `complete`: they explain the words, nothing else need be asked."""

    acts: tuple[Act, ...] = ()
    complete: bool = False
    # The value is one that any words are: a text, a record by its name.
    any_words: bool = False


@dataclass(frozen=True)
class Grammars:
    """The grammars of one bundle in one locale."""

    bundle: Bundle
    locale: str
    pack: LocalePack
    today: Today
    _nouns: dict[str, str] = field(default_factory=dict)

    def answer(self, words: str, alternatives: Sequence[str], legal: Legal) -> Answered:
        """What the words say without any model."""
        named = self._signal(words)
        if named is not None:
            return Answered((Act("person", named),), complete=True)
        if self._wants_person(words) is True:
            return Answered((Act("person"),), complete=True)
        if self.pack.repeat(words):
            return Answered((Act("repeat"),), complete=True)
        if self.pack.cancel(words) and (legal.active_goal or legal.asked):
            return Answered((Act("cancel"),), complete=True)
        unwanted = not_wanted(words, self.bundle, self.locale, self.pack.language, legal.goals)
        if not unwanted and not legal.active_goal and legal.waiting and self.pack.cancel(words):
            unwanted = legal.waiting[-1]
        if unwanted:
            return Answered((Act("cancel", unwanted),), complete=True)
        if legal.asked == "goal":
            return self._which_goal(words, legal)
        if legal.asked == "yes_no":
            return self._yes_or_no(words, legal)
        if legal.asked == "change":
            return self._changed(words, legal)
        if legal.asked in self.bundle.slots:
            return self._asked(words, alternatives, legal)
        if not legal.active_goal:
            if self.pack.farewell(words):
                return Answered((Act("deny", FAREWELL),), complete=True)
            if self.pack.only_no(words):
                return Answered((Act("deny"),), complete=True)
            if self.pack.only_yes(words):
                return Answered((Act("affirm"),), complete=True)
        return self._repaired(words, legal) or self._pointed(words, legal, "") or Answered()

    def unasked(self, words: str, goals: Sequence[str], legal: Legal) -> tuple[Act, ...]:
        """Values for the goals that the words want: "block my Visa card, it was stolen"."""
        names = dict.fromkeys(slot for goal in goals for slot in self.bundle.goals[goal].needs)
        return tuple(self._said_too(words, [name for name in names if name in legal.slots], goals, counted=False))

    def _said_too(self, words: str, names: Sequence[str], goals: Sequence[str], *, counted: bool) -> Iterator[Act]:
        """A number in the words is evidence for one slot, the first that reads it; `counted`: one has it already."""
        for name in names:
            numeric = self.bundle.slots[name].type in _NUMERIC
            reading = None if numeric and counted else self._unasked(words, name, goals)
            if reading is not None:
                counted = counted or (numeric and any(c.isdigit() for c in str(_plain(reading))))
                yield Act("fill", name, reading, confidence=reading.confidence)

    # ---- the open question

    def _which_goal(self, words: str, legal: Legal) -> Answered:
        at = self.pack.reference(words, len(legal.rivals))
        if isinstance(at, int):
            return Answered((Act("select", which=at),), complete=True)
        said = self.pack.yes_no(words)
        if said is not None and not said[0] and self._few(words):
            return Answered((Act("deny", confidence=said[1]),), complete=True)
        return Answered()

    def _yes_or_no(self, words: str, legal: Legal) -> Answered:
        repaired = self._repaired(words, legal)
        if repaired is not None:
            return repaired
        said = self.pack.yes_no(words)
        if said is not None:
            act = Act("affirm" if said[0] else "deny", confidence=said[1])
            return Answered((act,), complete=said[1] >= SURE_YES_NO or self._few(words))
        return self._pointed(words, legal, "") or Answered()

    def _asked(self, words: str, alternatives: Sequence[str], legal: Legal) -> Answered:
        name, spec = legal.asked, self.bundle.slots[legal.asked]
        pointed = self._pointed(words, legal, name) if spec.type == "ref" or legal.offered else None
        if pointed is not None:
            return pointed
        reading = self._read(name, words)
        if reading is None:
            repaired = self._repaired(words, legal)
            if repaired is not None:
                return repaired
            reading = self._from_alternatives(name, alternatives)
        if reading is None:
            said = self.pack.yes_no(words)
            plain_no = said is not None and not said[0] and self._few(words)
            return Answered((Act("deny", confidence=said[1]),), complete=True) if said and plain_no else Answered()
        acts = [Act("fill", name, reading, confidence=reading.confidence)]
        goal = self.bundle.goals.get(legal.active_goal)
        if goal is not None and spec.type != "text":
            open_ones = [n for n in goal.needs if n != name and n in legal.slots and n not in legal.filled]
            acts += self._said_too(words, open_ones, (legal.active_goal,), counted=spec.type in _NUMERIC)
        # Whether they are another matter is for the opinions to say.
        any_words = spec.type == "text" or (spec.type == "ref" and not _typed(reading))
        return Answered(tuple(acts), not any_words and self._explains(words, reading), any_words)

    # ---- parts

    def _signal(self, words: str) -> str | None:
        escalation = self.bundle.agent.escalation
        phrases = {
            name: escalation.signals[name].phrases(self.locale)
            for name in escalation.always
            if name in escalation.signals
        }
        return signal(words, phrases, self.pack.language)

    def _wants_person(self, words: str) -> bool | None:
        return wanted(words, self.bundle.agent.escalation.explicit.get(self.locale, ()), self.pack.language)

    def without_persons(self, words: str, legal: Legal) -> Legal | None:
        """What is legal for a caller who says that they want no person ("I don't want to speak to a person"), if so."""
        if self._wants_person(words) is not False:
            return None
        goals = self.bundle.goals
        return replace(legal, goals=tuple(n for n in legal.goals if goals[n].handoff is None or goals[n].do))

    def _pointed(self, words: str, legal: Legal, name: str) -> Answered | None:
        """ "The second", "that one": of what was offered, or what is in focus."""
        at = self.pack.reference(words, len(legal.offered))
        if at is NO_REFERENCE or (isinstance(at, int) and not legal.offered):
            return None
        which = at if isinstance(at, int) else None
        return Answered((Act("select", name, which=which),), complete=self._few(words, more=2))

    def _changed(self, words: str, legal: Legal) -> Answered:
        """What should be different: a value said anew needs no "no" before it any more; or nothing, after all."""
        # Any words may name a record: those are taken last.
        typed = replace(legal, filled=tuple(n for n in legal.filled if self.bundle.slots[n].type != "ref"))
        anew = self._repaired(words, typed) or self._anew(words, typed)
        if anew is not None:
            return anew
        said = self.pack.yes_no(words)
        if said is not None and self._few(words):
            return Answered((Act("affirm" if said[0] else "deny", confidence=said[1]),), complete=True)
        return self._repaired(words, legal) or self._text_anew(words, legal) or Answered()

    def _text_anew(self, words: str, legal: Legal) -> Answered | None:
        """Words that no other value explains are the free text, where there is one: it is read back before its use."""
        texts = [name for name in legal.filled if self.bundle.slots[name].type == "text"]
        reading = self._read(texts[0], words) if len(texts) == 1 else None
        if reading is None:
            return None
        return Answered((Act("fill", texts[0], reading, corrects=True, confidence=reading.confidence),), any_words=True)

    def _repaired(self, words: str, legal: Legal) -> Answered | None:
        """ "No, fifty": the value that was given, said anew. Of several slots, the one that reads it best."""
        instead = self.pack.repair(words)
        return self._anew(instead, legal) if instead is not None else None

    def _anew(self, instead: str, legal: Legal) -> Answered | None:
        best: tuple[str, Reading] | None = None
        for name in reversed(legal.filled):
            reading = self._read(name, instead) if self.bundle.slots[name].type != "text" else None
            if reading is not None and (best is None or _nearness(reading) > _nearness(best[1])):
                best = (name, reading)
        if best is None:
            return None
        name, reading = best
        return Answered((Act("fill", name, reading, corrects=True, confidence=reading.confidence),), complete=True)

    def _unasked(self, words: str, name: str, goals: Sequence[str]) -> Reading | None:
        spec = self.bundle.slots[name]
        if spec.type not in _UNASKED or spec.masked:
            return None
        reading = self._read(name, words)
        if spec.type == "ref":
            return self._named(words, name, reading, goals)
        return reading

    def _named(self, words: str, name: str, reading: Reading | None, goals: Sequence[str]) -> Reading | None:
        """A record named in passing: its digits, amount or day; or the word before what it is called ("Visa card")."""
        data = reading.data.reveal() if reading is not None else {}
        typed = _typed(reading)
        if typed and reading is not None:
            return replace(reading, data=Personal(typed, "slot"))
        noun = self._noun(goals)
        called = self._before(plain(words).split(), noun) if noun else ""
        resolve = self.bundle.slots[name].resolve
        fields = [one for one in resolve.match if "last" not in one] if resolve is not None else []
        if not called or not fields or reading is None or not isinstance(data, Mapping):
            return None
        named = {one: called for one in fields if isinstance(data.get(one), str)}
        return (
            replace(reading, data=Personal(named, "slot"), text=Personal(f"{called} {noun}", "words"))
            if named
            else None
        )

    def _before(self, said: Sequence[str], noun: str) -> str:
        common = {word for goal in self.bundle.goals.values() for phrase in goal.entry[self.locale]
                  for word in plain(phrase).split()} | self.pack.language.carriers | _GENERIC  # fmt: skip
        for at, word in enumerate(said):
            if word == noun and at and said[at - 1] not in common:
                return said[at - 1]
            if word != noun and word.endswith(noun) and (stem := word.removesuffix(noun)) not in common:
                return stem
        return ""

    def _noun(self, goals: Sequence[str]) -> str:
        """What a goal's phrases call the thing: the word most of them share, if three in four do."""
        for goal in goals:
            if goal not in self._nouns:
                said = [set(plain(phrase).split()) for phrase in self.bundle.goals[goal].entry[self.locale]]
                shared = [word for word in set().union(*said) if sum(word in one for one in said) * 4 >= len(said) * 3]
                self._nouns[goal] = max((w for w in sorted(shared) if len(w) > 3), key=len, default="")
            if self._nouns[goal]:
                return self._nouns[goal]
        return ""

    def _from_alternatives(self, name: str, alternatives: Sequence[str]) -> Reading | None:
        for other in alternatives:
            reading = self._read(name, other)
            if reading is not None:
                return replace(reading, confidence=round(reading.confidence * ALTERNATIVE, 3))
        return None

    def _read(self, name: str, words: str) -> Reading | None:
        """The best reading that its slot would hear at all."""
        spec: Slot = self.bundle.slots[name]
        found = self.pack.read(spec, words, confusable=self.bundle.agent.lexicon.confusable, today=self.today())
        return found[0] if found and found[0].confidence >= spec.clarify else None

    def _explains(self, words: str, reading: Reading) -> bool:
        left = len(list(self._content(words))) - len(list(self._content(reading.text.reveal())))
        return left <= FEW_WORDS

    def _few(self, words: str, more: int = 0) -> bool:
        return len(list(self._content(words))) <= FEW_WORDS + more

    def _content(self, words: str) -> Iterator[str]:
        idle = self.pack.language.fillers | self.pack.language.carriers
        return (word for word in plain(words).split() if word not in idle)


_GENERIC = frozenset("my the a this that bank new old meine die der das eine bankkarte ec".split())  # noqa: SIM905


def _plain(reading: Reading) -> object:
    data = reading.data.reveal()
    return list(data.values()) if isinstance(data, Mapping) else data


def _typed(reading: Reading | None) -> dict[str, Scalar]:
    """The fields of a record that words alone cannot name: digits, an amount, a day."""
    data = reading.data.reveal() if reading is not None else None
    if not isinstance(data, Mapping):
        return {}
    return {k: v for k, v in data.items() if not isinstance(v, str) or any(c.isdigit() for c in v)}


def _nearness(reading: Reading) -> tuple[bool, float]:
    """A bare amount is said of an amount before it is said of the payment that has it ("no, fifty")."""
    data = reading.data.reveal()
    only_amount = isinstance(data, Mapping) and all(name.endswith("_minor") for name in data)
    return not only_amount, reading.confidence
