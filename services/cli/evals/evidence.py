"""Whether an argument of an act was ever given: in words as the recogniser heard them, by keys, or as a record.

A second reader beside the runtime's grammars, on purpose a simple and generous one: it has to see values that came from
nowhere, not to understand callers.
"""

import datetime
import re
from decimal import Decimal

from services.cli.evals.noise import FILLERS
from services.cli.evals.said import digits_of_words, months, sounding, squeezed
from services.cli.evals.transcript import Transcript
from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.bundles.evals import EvidenceKind, Plain

_NUMBER = re.compile(r"\d+")
_WORD = re.compile(r"[^\W_]+")


class Evidence:
    """Of one conversation."""

    def __init__(self, bundle: Bundle, transcript: Transcript, records: frozenset[str]) -> None:
        self._bundle = bundle
        self._locale = transcript.locale
        self._records = records
        caller = transcript.caller()
        self._heard = " \n ".join(one.heard or one.text for one in caller)
        self._keys = " ".join(one.keys for one in caller)
        read = " \n ".join(digits_of_words(one.heard or one.text, self._locale) for one in caller)
        self._both = f"{self._heard} \n {read} {self._keys}"
        fillers = {word for words in FILLERS.values() for word in words}
        self._tight = sounding(squeezed(" ".join(w for w in self._both.split() if w.casefold() not in fillers)))
        self._numbers = [int(token) for token in _NUMBER.findall(read)[:400] if len(token) < 12]
        self._words = {word.casefold() for word in _WORD.findall(self._both)}

    def holds(self, kind: EvidenceKind, value: Plain) -> bool:
        """Whether something gives this value."""
        match kind:
            case "caller":
                return True
            case "record":
                return str(value) in self._records
            case "money":
                return self._money(Decimal(str(value)))
            case "enum":
                return self._enum(str(value))
            case "date":
                return self._date(str(value))
            case "spelled":
                return sounding(squeezed(str(value))) in self._tight
            case "words":
                return all(word.casefold() in self._words for word in _WORD.findall(str(value)))

    def _money(self, minor: Decimal) -> bool:
        """Pounds, or pounds and pence as two figures after each other."""
        whole, rest = divmod(int(minor), 100)
        if rest == 0 and whole in self._numbers:
            return True
        pairs = zip(self._numbers, self._numbers[1:], strict=False)
        return (whole, rest) in pairs or (whole == 0 and rest in self._numbers)

    def _enum(self, value: str) -> bool:
        for slot in self._bundle.slots.values():
            words = slot.values.get(value, {}).get(self._locale, ())
            if any(sounding(squeezed(word)) in self._tight for word in words):
                return True
        return False

    def _date(self, value: str) -> bool:
        try:
            day = datetime.date.fromisoformat(value)
        except ValueError:
            return False
        named = months(self._locale)[day.month - 1] in self._heard.casefold() or day.month in self._numbers
        ordinals = {f"{day.day}th", f"{day.day}st", f"{day.day}nd", f"{day.day}rd"}
        return named and (day.day in self._numbers or bool(ordinals & self._words))
