"""Simulated callers. They hear what the agent says and asks, know what they want, and answer; they know no state of it.

`ScriptedCaller` plays a scenario. `RandomCaller` draws wants, ways to say them, slips, corrections, changes of mind,
backchannels and hang-ups from a seed, and keeps account of what it really wants: the gates compare the books with that.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from services.cli.evals.said import Grounds, figured, names, without_dates
from services.cli.evals.transcript import Asked, Given
from services.orchestrator.bundles.evals import Customer, Meant, Moment, Plain, Scenario, Variety

YES: Mapping[str, tuple[str, ...]] = {
    "en": ("yes", "yes please", "yes, go ahead"),
    "de": ("ja", "ja, bitte", "ja, genau"),
}
NO: Mapping[str, str] = {"en": "no", "de": "nein"}
BYE: Mapping[str, str] = {"en": "no, that is all, goodbye", "de": "nein, das ist alles, auf Wiederhören"}
HM: Mapping[str, tuple[str, ...]] = {"en": ("mhm", "okay"), "de": ("mhm", "okay")}
UNSURE: Mapping[str, str] = {"en": "I don't know", "de": "das weiß ich nicht"}
FORGET: Mapping[str, str] = {"en": "no, forget it", "de": "nein, lassen Sie das"}
AGAIN: Mapping[str, str] = {"en": "Could you say that again?", "de": "Können Sie das noch einmal sagen?"}
# A caller who has been asked so often gives up: a person would.
PATIENCE = 24


class Caller(Protocol):
    """Somebody on the line."""

    def open(self) -> Given:
        """The first words."""
        ...

    def answer(self, asked: Asked) -> Given:
        """What they do now."""
        ...

    def wanted(self) -> list[Mapping[str, Plain]]:
        """What the books may hold at the end because this caller wanted it and agreed: rows by their fields."""
        ...


class ScriptedCaller:
    """Plays a scenario: its moments first, then what it knows, then yes to what is read back, then the next want."""

    def __init__(self, scenario: Scenario, customer: Customer, entries: Mapping[str, Sequence[str]]) -> None:
        self._scenario, self._customer, self._entries = scenario, customer, entries
        self._moments = list(scenario.moments)
        self._wants = list(scenario.wants[1:])
        self._language = scenario.locale[:2]
        self._asked = 0

    def open(self) -> Given:
        """The scenario's first words."""
        return Given(say=self._scenario.opens)

    def answer(self, asked: Asked) -> Given:
        """By what is asked."""
        self._asked += 1
        if self._asked > PATIENCE:
            return Given(hang_up=True)
        moment = self._moment(asked)
        if moment is not None:
            return Given(say=moment.say, keys=moment.keys, over=moment.over, hang_up=moment.hang_up)
        if asked.code:
            return Given(keys=self._customer.pin)
        if asked.yes_no:
            return Given(say=YES[self._language][0])
        if asked.slot:
            known = self._scenario.knows.get(asked.slot)
            return Given(say=known or UNSURE[self._language])
        if asked.goal:
            return Given(say=self._scenario.opens)
        if self._wants:
            return Given(say=self._entries[self._wants.pop(0)][0])
        return Given(say=BYE[self._language], hang_up=True)

    def wanted(self) -> list[Mapping[str, Plain]]:
        """As the scenario expects."""
        return list(self._scenario.expect.done)

    def _moment(self, asked: Asked) -> Moment | None:
        waits_for = {"", *asked.prompts}
        if asked.slot:
            waits_for.add(asked.slot)
        for what, so in (("yes_no", asked.yes_no), ("goal", asked.goal), ("keys", asked.code)):
            if so:
                waits_for.add(what)
        if not (asked.slot or asked.yes_no or asked.goal or asked.code):
            waits_for.add("open")
        for index, moment in enumerate(self._moments):
            if moment.on in waits_for and (moment.on or not asked.code):
                return self._moments.pop(index)
        return None


@dataclass(frozen=True, slots=True)
class Habits:
    """How often a random caller does what people do; per chance to do it."""

    second_goal: float = 0.25
    slip: float = 0.15
    change_of_mind: float = 0.06
    backchannel: float = 0.05
    over: float = 0.08
    hang_up: float = 0.03
    wrong_code: float = 0.08
    hesitate: float = 0.04
    all_at_once: float = 0.2


@dataclass(slots=True)
class Wish:
    """One thing that a random caller wants, with what is meant for each slot; `given_up`: they changed their mind."""

    variety: Variety
    meant: dict[str, Meant]
    started: bool = False
    agreed: bool = False
    given_up: bool = False

    def row(self) -> dict[str, Plain]:
        """As the books would have it."""
        places = {f"{slot}.{name}": value for slot, meant in self.meant.items() for name, value in meant.plain.items()}
        return {name: _filled(value, places) for name, value in self.variety.done.items()}


@dataclass(slots=True)
class RandomCaller:
    """Draws everything from `chance`; tells the truth about what it wants, not always at the first try."""

    chance: random.Random
    locale: str
    customer: Customer
    wishes: list[Wish]
    # Sentences that read back everything before it is done.
    reads_back: frozenset[str] = frozenset()
    habits: Habits = field(default_factory=Habits)
    _at: int = 0
    _asked: int = 0
    _wrong: str = ""
    _slipped: set[tuple[int, str]] = field(default_factory=set)

    @classmethod
    def drawn(
        cls,
        chance: random.Random,
        varieties: Sequence[Variety],
        customers: Mapping[str, Customer],
        reads_back: frozenset[str],
    ) -> "tuple[RandomCaller, str]":
        """A caller and the name of the customer they are."""
        first = chance.choice(list(varieties))
        habits = Habits()
        chosen = [first]
        if chance.random() < habits.second_goal:
            same = [one for one in varieties if one.customer == first.customer and one.locale == first.locale]
            chosen.append(chance.choice(same))
        wishes = [Wish(one, {slot: chance.choice(meanings) for slot, meanings in one.knows.items()}) for one in chosen]
        return cls(chance, first.locale, customers[first.customer], wishes, reads_back, habits), first.customer

    def open(self) -> Given:
        """What they want, sometimes with all they know of it in one breath."""
        wish = self.wishes[0]
        wish.started = True
        say = self.chance.choice(wish.variety.opens)
        if wish.meant and self._does(self.habits.all_at_once):
            slot = self.chance.choice(list(wish.meant))
            say = f"{say}, {self.chance.choice(wish.meant[slot].say)}"
        return Given(say=say)

    def answer(self, asked: Asked) -> Given:
        """By what is asked, and by chance."""
        self._asked += 1
        if self._asked > PATIENCE or self._does(self.habits.hang_up):
            return Given(hang_up=True, over=bool(self.chance.getrandbits(1)))
        if self._does(self.habits.hesitate):
            return Given()
        if asked.code:
            wrong = self._does(self.habits.wrong_code)
            return Given(keys="0000" if wrong else self.customer.pin)
        if asked.yes_no:
            return self._judge(asked)
        if asked.slot:
            return Given(say=self._value(asked.slot), over=self._does(self.habits.over))
        if "talk.change" in asked.prompts:
            return self._put_right()
        if asked.goal:
            return Given(say=self.chance.choice(self._wish.variety.opens))
        if self._does(self.habits.backchannel):
            return Given(say=self.chance.choice(HM[self.language]))
        return self._next()

    def wanted(self) -> list[Mapping[str, Plain]]:
        """Wishes that were told and not taken back before they were agreed to."""
        return [
            wish.row()
            for wish in self.wishes
            if wish.variety.tool is not None and wish.started and (wish.agreed or not wish.given_up)
        ]

    @property
    def language(self) -> str:
        """Of the locale."""
        return self.locale[:2]

    @property
    def _wish(self) -> Wish:
        return self.wishes[min(self._at, len(self.wishes) - 1)]

    def _does(self, rate: float) -> bool:
        return self.chance.random() < rate

    def _value(self, slot: str) -> str:
        """What is meant, or at first a slip: another value of the same kind, to be put right at the read-back."""
        wish, at = self._wish, (self._at, slot)
        meant = wish.meant.get(slot)
        if meant is None:
            return UNSURE[self.language]
        others = [one for one in wish.variety.knows[slot] if one != meant]
        # A slip that nobody reads back is what the caller said: it is then theirs.
        if wish.variety.slips and others and at not in self._slipped and self._does(self.habits.slip):
            self._slipped.add(at)
            return self.chance.choice(self.chance.choice(others).say)
        return self.chance.choice(meant.say)

    def _judge(self, asked: Asked) -> Given:
        """Yes only to what is wanted: every meaning that the sentence names must be the one that is meant."""
        wish = self._wish
        text = asked.sentences[-1].text if asked.sentences else ""
        if self._does(self.habits.change_of_mind):
            wish.given_up = True
            return Given(say=FORGET[self.language])
        wrong = self._wrong_in(wish, text, whole=bool(self.reads_back & set(asked.prompts)))
        if wrong:
            self._wrong = wrong[0]
            meant = wish.meant[self._wrong]
            return Given(say=f"{NO[self.language]}, {self.chance.choice(meant.say)}")
        over = self._does(self.habits.over)
        if over:
            return Given(say=self.chance.choice(YES[self.language]), over=True)
        wish.agreed = True
        return Given(say=self.chance.choice(YES[self.language]))

    def _wrong_in(self, wish: Wish, text: str, *, whole: bool) -> list[str]:
        """Slots that a sentence has wrong: it names another value, leaves out one that it must name (`whole`), or has
        an amount in it that this caller does not know."""
        named = {slot: names(text, meant.named, self.locale) for slot, meant in wish.meant.items() if meant.named}
        others = [
            slot
            for slot, right in named.items()
            if not right and (whole or _names_another(text, wish.meant[slot], wish.variety.knows[slot], self.locale))
        ]
        grounds = Grounds(self.locale)
        for meant in wish.meant.values():
            for words in (*meant.say, *meant.named):
                grounds.add_words(words)
            for value in meant.plain.values():
                grounds.add_value(str(value))
        if not others and grounds.strange(without_dates(figured(text, self.locale), self.locale)):
            others = [slot for slot, right in named.items() if not right]
        return others

    def _put_right(self) -> Given:
        """They said no, and are asked what should be different."""
        wish = self._wish
        slot = self._wrong or next(iter(wish.meant), "")
        if wish.given_up or slot not in wish.meant:
            return Given(say=FORGET[self.language])
        return Given(say=self.chance.choice(wish.meant[slot].say))

    def _next(self) -> Given:
        if self._at + 1 < len(self.wishes):
            self._at += 1
            self._wish.started = True
            return Given(say=self.chance.choice(self._wish.variety.opens))
        return Given(say=BYE[self.language], hang_up=True)


def _filled(value: Plain, places: Mapping[str, Plain]) -> Plain:
    if isinstance(value, str) and value.startswith("{") and value.endswith("}"):
        return places[value[1:-1]]
    return value


def _names_another(text: str, meant: Meant, all_of_kind: Iterable[Meant], locale: str) -> bool:
    """Whether the text names a value of this kind that is not the one meant."""
    return any(other.named and names(text, other.named, locale) for other in all_of_kind if other != meant)
