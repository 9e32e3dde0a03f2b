"""Which of a bundle's sentences were heard, from words alone. Pure.

A caller at the audio level knows no state of the agent: it hears words, as a recogniser wrote them, and must tell what
it was asked. A sentence's fixed words are compared with the heard ones, its places are anything.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz import fuzz

from services.cli.evals.callers import AGAIN, YES
from services.cli.evals.callers import Caller as EvalCaller
from services.cli.evals.said import squeezed
from services.cli.evals.transcript import Asked, Spoken
from services.cli.talker.acts import Act, HangUp, Key, Listen, Say
from services.common.personal import Personal
from services.common.settings import AgentSettings
from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.bundles.standard import STANDARD_NAMES

# Of 100: so alike must the fixed words of a sentence be to what was heard; few words must be alike to the letter.
ALIKE, ALIKE_SHORT, _LONG_CHARS = 82, 99, 12
# Sentences that ask for a yes or a no; which of two; for the code.
_NOT_HEARD = "talk.not_heard"
# What a call says beside its bundle: names of this module's own, by the setting that holds the sentence.
_FILLER, _UNHEARD = "call.fillers", "call.not_understood"
# So often in a row a caller says the same again, or asks to hear it again.
REPEATS = 2
# Fewer letters than this that are like nothing known may be a filler or the end of one: the agent goes on.
_SHORT = 20
_STILL_THERE = "call.reprompt"
_IS_IT, _WHICH, _WHICH_GOAL, _CODE = "talk.is_it", "talk.which", "talk.which_goal", "talk.identify"
_PLACE = re.compile(r"\{[^{}]*\}")
# Shorter fixed words say too little to be told apart.
_LEAST_CHARS = 6
_LEAST_PART = 4


@dataclass(frozen=True, slots=True)
class Known:
    """One sentence: its name, and the fixed words before, between and after its places."""

    prompt: str
    parts: tuple[str, ...]

    @property
    def length(self) -> int:
        """Of the fixed words."""
        return sum(len(part) for part in self.parts)


class Listening:
    """For one bundle and locale."""

    def __init__(self, bundle: Bundle, locale: str) -> None:
        self._bundle = bundle
        self.language = locale[:2]
        names = [*bundle.prompts[locale], *STANDARD_NAMES]
        texts = {name: bundle.prompt(name, locale).text for name in names} | _sentences_of_the_call(locale)
        known = [Known(name, _parts(text)) for name, text in texts.items()]
        self._known = sorted(
            (one for one in known if one.prompt != bundle.agent.system and one.length >= _LEAST_CHARS),
            key=lambda one: -one.length,
        )
        self._confirms = {tool.confirm.prompt for tool in bundle.tools.values() if tool.confirm is not None}
        self._asks = {slot.ask: name for name, slot in bundle.slots.items()}
        self._fillers = {tool.filler for tool in bundle.tools.values() if tool.filler}
        self._fillers |= {name for name in texts if name.startswith(_FILLER)}
        self._idle = self._fillers | {name for name in texts if name.startswith(_STILL_THERE)}

    def prompts(self, words: str) -> list[str]:
        """Names of the sentences heard, in order; what is like none of them is left out."""
        return [match.known.prompt for match in self._matches(words)]

    def unplaced(self, words: str) -> int:
        """Letters heard beside those that are like a sentence without places: of a question that was not made out."""
        return len(squeezed(words)) - sum(
            end - start
            for match in self._matches(words)
            for start, end in match.spans
            if match.known.prompt in self._idle
        )

    def waits(self, prompts: Sequence[str]) -> bool:
        """Nothing but "one moment": the agent goes on."""
        return bool(prompts) and set(prompts) <= self._fillers

    def lost(self, prompts: Sequence[str]) -> bool:
        """Nothing that was made out asks or tells anything."""
        return set(prompts) <= self._idle

    def unheard(self, prompts: Sequence[str]) -> bool:
        """The agent did not understand and asks nothing of its own: it wants to hear the same again."""
        said = {name for name in prompts if name == _NOT_HEARD or name.startswith(_UNHEARD)}
        return bool(said) and not any(self._is_question(name) for name in prompts)

    def asked(self, turn: int, words: str, last_slot: str) -> Asked:
        """What the agent waits for now, by the last question that was heard. `last_slot`: what was asked for before."""
        prompts = self.prompts(words)
        sentences = tuple(Spoken(turn, "agent", words, prompt=prompt, complete=True) for prompt in prompts)
        asking = next((p for p in reversed(prompts) if self._is_question(p)), "")
        if asking in self._asks:
            return Asked(turn, sentences, slot=self._asks[asking])
        if asking in self._confirms or asking == _IS_IT:
            return Asked(turn, sentences, slot=last_slot if asking == _IS_IT else "", yes_no=True)
        if asking == _WHICH:
            return Asked(turn, sentences, slot=last_slot)
        return Asked(turn, sentences, code=asking == _CODE, keys=asking == _CODE, goal=asking == _WHICH_GOAL)

    def _matches(self, words: str) -> "list[_Match]":
        tight = squeezed(words)
        found: list[_Match] = []
        # Longer ones first: "Is that …?" is also in a longer question.
        for known in self._known:
            match = _match(known, tight)
            if match is not None and not any(match.overlaps(other) for other in found):
                found.append(match)
        return sorted(found, key=lambda match: match.spans[0])

    def _is_question(self, prompt: str) -> bool:
        special = (_IS_IT, _WHICH, _WHICH_GOAL, _CODE, "talk.more", "talk.open", "talk.change")
        return prompt in self._asks or prompt in self._confirms or prompt in special


class EvalTalker:
    """A caller of the evals as a caller that talks (`talker.acts.Caller`)."""

    def __init__(self, caller: EvalCaller, listening: Listening) -> None:
        self._caller = caller
        self._listening = listening
        self._opened = self._leaving = False
        self._turn = 0
        self._slot = ""
        self._last, self._repeated, self._lost = Say(""), 0, 0
        # What it keyed, in order: the line's events do not tell secrets.
        self.keyed: list[str] = []

    def next(self, heard: str) -> Act:
        """By the sentences that were heard. Nothing heard, twice in a row, is answered like an open question."""
        if self._leaving:
            return HangUp()
        prompts = self._listening.prompts(heard)
        if not self._opened and not heard:
            return Listen()
        if self._opened and heard and self._listening.lost(prompts) and self._lost < 2 * REPEATS:
            return self._not_made_out(heard, prompts)
        self._lost = 0
        if not self._opened:
            self._opened = True
            given = self._caller.open()
        elif self._listening.unheard(prompts) and self._last.text and self._repeated < REPEATS:
            self._repeated += 1
            return Say(_in_other_words(self._last.text, self._repeated))
        else:
            asked = self._listening.asked(self._turn, heard, self._slot)
            self._slot = asked.slot or self._slot
            given = self._caller.answer(asked)
        self._turn += 1
        self._last, self._repeated = Say("" if given.hang_up else given.say), 0
        self._leaving = given.hang_up
        if given.keys:
            self.keyed.append(given.keys)
            return Key(Personal(given.keys, "keys"))
        return Say(given.say, last=given.hang_up) if given.say else HangUp() if given.hang_up else Listen()

    def _not_made_out(self, heard: str, prompts: Sequence[str]) -> Act:
        """The agent said that it goes on, or something that these ears did not make out: wait for it, or ask for it."""
        short, goes_on = self._listening.unplaced(heard) < _SHORT, self._listening.waits(prompts)
        if short and goes_on:
            return Listen()
        self._lost += 1
        if short and not prompts and self._lost == 1:
            return Listen()
        return Say(AGAIN[self._listening.language])


def _in_other_words(text: str, times: int) -> str:
    """A yes is said with more words when it was not understood, all else as it was."""
    ways = next((ways for ways in YES.values() if text in ways), (text,))
    return ways[(ways.index(text) + times) % len(ways)]


def _sentences_of_the_call(locale: str) -> dict[str, str]:
    """Fillers, and how the call says that it did not understand."""
    own = AgentSettings(locale=locale)
    fillers = {f"{_FILLER}.{nth}": text for nth, text in enumerate(own.fillers)}
    unheard = {f"{_UNHEARD}.{nth}": text for nth, text in enumerate((own.not_understood, own.not_understood_score))}
    there = {f"{_STILL_THERE}.{nth}": text for nth, text in enumerate((own.reprompt, own.reprompt_simpler))}
    return {name: text for name, text in (fillers | unheard | there).items() if text}


def _parts(text: str) -> tuple[str, ...]:
    """Words of two or three letters between places ("for", "on") are found anywhere: left to the places."""
    return tuple(part for piece in _PLACE.split(text) if len(part := squeezed(piece)) >= _LEAST_PART)


def _match(known: Known, tight: str) -> "_Match | None":
    """Its fixed words in order, each as like as can be found behind the one before; None when they are not there."""
    at, total, spans = 0, 0.0, []
    for part in known.parts:
        found = fuzz.partial_ratio_alignment(part, tight[at:])
        if found is None:
            return None
        # Words at the very end may be cut short; what is missing counts.
        total += found.score * min(len(part), found.dest_end - found.dest_start)
        spans.append((at + found.dest_start, at + found.dest_end))
        at += found.dest_end
    alike = total / known.length
    return _Match(known, tuple(spans)) if alike >= (ALIKE if known.length >= _LONG_CHARS else ALIKE_SHORT) else None


@dataclass(frozen=True, slots=True)
class _Match:
    known: Known
    spans: tuple[tuple[int, int], ...]

    def overlaps(self, other: "_Match") -> bool:
        """They want the same words."""
        return any(a < d and c < b for a, b in self.spans for c, d in other.spans)
