"""A locale as the dialogue uses it: what words say for each type of slot, and how values are said. Pure, no I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

from babel.lists import format_list

from services.common.personal import Personal
from services.orchestrator.bundles.model import LocaleRules, Slot
from services.orchestrator.control.model import Scalar
from services.orchestrator.dialogue.locales import answers, records, saying, sentences
from services.orchestrator.dialogue.locales.choices import read_enum
from services.orchestrator.dialogue.locales.dates import read_date
from services.orchestrator.dialogue.locales.digits import read_digits
from services.orchestrator.dialogue.locales.free_text import read_text
from services.orchestrator.dialogue.locales.identifiers import read_iban, read_phone, read_postcode
from services.orchestrator.dialogue.locales.keys import keyed_value
from services.orchestrator.dialogue.locales.language import Language
from services.orchestrator.dialogue.locales.money import read_money
from services.orchestrator.dialogue.locales.settle import UNEXPLAINED, Asked, Found, Grammar, reading, settle
from services.orchestrator.dialogue.locales.spelling import read_spelling
from services.orchestrator.dialogue.locales.tokens import tokens_of
from services.orchestrator.dialogue.model import Reading

_GRAMMARS: Mapping[str, Grammar] = {
    "digits": read_digits,
    "spelling": read_spelling,
    "enum": read_enum,
    "money": read_money,
    "date": read_date,
    "phone": read_phone,
    "iban": read_iban,
    "postcode": read_postcode,
}
# A value that can be nothing else is told from a story around it more surely than a number is.
_UNEXPLAINED = {"enum": 0.12, "iban": 0.1, "phone": 0.2}
Confusable = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class LocalePack:
    """One locale. `spoken`: the language it is said in ("en", "de", "hi"). `rules`: how the bundle wants it."""

    locale: str
    spoken: str
    language: Language
    rules: LocaleRules

    def under(self, rules: LocaleRules) -> "LocalePack":
        """The same pack under a bundle's rules: currency, formality, how digits are said."""
        return replace(self, rules=rules)

    # ---- understanding

    def read(
        self,
        slot: Slot,
        text: str,
        *,
        keyed: bool = False,
        confusable: Confusable = (),
        today: date,
        default_currency: str = "",
    ) -> list[Reading]:
        """What `text` says for the slot, best first; empty when it says no such value."""
        asked = self._asked(slot, today, default_currency, confusable)
        if keyed:
            value = keyed_value(text, asked)
            return [Reading(Personal(value[0], "slot"), Personal(text, "keys"), value[1], keyed=True)] if value else []
        tokens = tokens_of(text, self.language.fillers)
        if not tokens:
            return []
        if slot.type == "yes_no":
            said = self.yes_no(text)
            return [Reading(Personal(said[0], "slot"), Personal(text.strip(), "words"), said[1])] if said else []
        if slot.type == "text":
            found = read_text(tokens, text, asked)
            return [reading(text, tokens, one, one.sure) for one in found]
        if slot.type == "ref":
            fields, sure = records.fields_said(tokens, asked)
            whole = Found(fields, 0, len(tokens))
            return [reading(text, tokens, whole, sure)] if fields else []
        grammar = _GRAMMARS[slot.type]
        unexplained = _UNEXPLAINED.get(slot.type, UNEXPLAINED)
        return settle(text, tokens, grammar(tokens, asked), asked, grammar, unexplained)

    def resolve(
        self,
        slot: Slot,
        text: str,
        found: Sequence[Mapping[str, Scalar]],
        *,
        confusable: Confusable = (),
        today: date,
        default_currency: str = "",
    ) -> list[tuple[int, float]]:
        """Which of the records a back end answered the words mean: index and score (0 to 1), best first.

        Equal scores are records that the words do not tell apart. Empty: none is meant.
        """
        asked = self._asked(slot, today, default_currency, confusable)
        return records.resolve(tokens_of(text, self.language.fillers), found, asked)

    def yes_no(self, text: str) -> tuple[bool, float] | None:
        """Yes or no and how sure; None: neither, or not sure which ("I don't know")."""
        return answers.yes_no(text, self.language)

    def only_yes(self, text: str) -> bool:
        """A yes and nothing else."""
        return answers.only_yes(text, self.language)

    def only_no(self, text: str) -> bool:
        """A no and nothing else."""
        return answers.only_no(text, self.language)

    def reference(self, text: str, count: int) -> int | answers.NoReference | None:
        """Which of `count` offered ones: from 0, -1 the last, None the one in focus, NO_REFERENCE none."""
        return answers.reference(text, count, self.language)

    def repair(self, text: str) -> str | None:
        """What is said instead of what was said or understood before: "no, I mean fifty" is "fifty"."""
        return answers.repair(text, self.language)

    def cancel(self, text: str) -> bool:
        """The caller drops what is being done."""
        return answers.cancels(text, self.language)

    def repeat(self, text: str) -> bool:
        """The caller wants to hear it again."""
        return answers.asks_again(text, self.language)

    def farewell(self, text: str) -> bool:
        """The caller wants nothing more."""
        return answers.takes_leave(text, self.language)

    def hold(self, text: str) -> bool:
        """The caller needs a moment."""
        return answers.holds(text, self.language)

    # ---- saying

    def say(self, value: Scalar, filter: str, *, currency: str = "") -> str:  # noqa: A002 (the name of the place)
        """A value in words. `currency` of an amount, else the bundle's. Raises UnsayableError."""
        return saying.say(value, filter, self.spoken, currency or self.rules.currency, self.rules.digits)

    def list_of(self, items: Sequence[str], how: Literal["or", "and"] = "or") -> str:
        """ "a, b or c"."""
        style: Literal["or", "standard"] = "or" if how == "or" else "standard"
        return format_list(list(items), style=style, locale=self.language.babel[0])

    def sentence(self, name: str) -> str:
        """A sentence of the dialogue itself, its places unfilled, in the formality of the bundle. KeyError: no such."""
        return sentences.sentence(name, self.spoken, self.rules.formality)

    def _asked(self, slot: Slot, today: date, currency: str, confusable: Confusable) -> Asked:
        return Asked(slot, self.locale, self.language, today, currency or self.rules.currency, confusable)
