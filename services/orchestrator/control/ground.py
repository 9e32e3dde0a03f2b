"""Sentences from committed facts only: a place is filled by what was answered or given, or not at all.

    prompt ──needs committed?──► each place: in the ledger (TOOL.FIELD), a record it offered, or a slot ──► spoken

A sentence that cannot be filled is not said: `UngroundedError` names what is missing, and an honest fallback is said in
its stead. Values are spoken by the locale pack; nothing here formats a number. Pure.
"""

from collections.abc import Mapping
from typing import Protocol

from services.common.errors import TrunklineError
from services.common.personal import Personal
from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.bundles.model import Slot
from services.orchestrator.bundles.templates import fill
from services.orchestrator.control.ledger import Ledger
from services.orchestrator.control.model import Scalar
from services.orchestrator.dialogue.model import Say

Facts = Mapping[str, Personal[Scalar]]
# Standard sentences that tell of an act without a place for it (bundles/standard.py).
_TELLS = frozenset({"talk.done", "talk.already"})
_PLACES = ("first", "second")
_FALLBACK = {
    "en": "I cannot tell you that for certain right now.",
    "de": "Das kann ich Ihnen gerade nicht sicher sagen.",
    "hi": "अभी मैं यह पक्का नहीं बता सकती।",
    "es": "Ahora mismo no puedo decírselo con seguridad.",
    "fr": "Je ne peux pas vous le dire avec certitude pour le moment.",
}


class Speaker(Protocol):
    """How a locale says a value (dialogue.locales.pack)."""

    def say(self, value: Scalar, filter: str, *, currency: str = "") -> str:  # noqa: A002
        """The words; money is in minor units of `currency`."""
        ...


class UngroundedError(TrunklineError):
    """A sentence would say what no answer of this call supports. Names the place, never a value."""

    def __init__(self, prompt: str, what: str) -> None:
        self.prompt, self.what = prompt, what
        super().__init__(f"{prompt!r} cannot be said: {what}.", remedy="The fallback of the locale is said instead.")


def fallback(locale: str) -> str:
    """What is said instead of a sentence that cannot be: no promise, no claim."""
    return _FALLBACK.get(locale.split("-")[0], _FALLBACK["en"])


def ground(bundle: Bundle, locale: str, say: Say, ledger: Ledger, speaker: Speaker) -> str:
    """The sentence, every place filled. Raises UngroundedError."""
    prompt = bundle.prompt(say.prompt, locale)
    if prompt.needs is not None and not ledger.has(prompt.needs):
        raise UngroundedError(say.prompt, f"{prompt.needs} does not hold")
    if say.prompt in _TELLS and not ledger.any_committed():
        raise UngroundedError(say.prompt, "nothing was committed in this call")
    filling = _Filling(bundle, locale, say, ledger, speaker)
    return fill(prompt.text, filling.place)


class _Filling:
    """One sentence being filled."""

    def __init__(self, bundle: Bundle, locale: str, say: Say, ledger: Ledger, speaker: Speaker) -> None:
        self._bundle, self._locale, self._say = bundle, locale, say
        self._ledger, self._speaker = ledger, speaker

    def place(self, name: str, filter_: str) -> str:
        """The words at {name|filter}."""
        root, _, rest = name.partition(".")
        if root == "option" and rest in _PLACES and name not in self._say.facts:
            return self._option(rest)
        value = self._value(name)
        if value is None and filter_ == "money":
            value, currency = self._value(f"{name}.minor"), self._value(f"{name}.currency")
        else:
            currency = self._value(f"{name.rpartition('.')[0]}.currency") if filter_ == "money" else None
        if value is None:
            raise UngroundedError(self._say.prompt, f"{name} is not known")
        slot = self._bundle.slots.get(rest.split(".")[0]) if root == "slot" else None
        if slot is not None and slot.masked:
            raise UngroundedError(self._say.prompt, f"{name} is masked")
        return self._words(value, filter_, currency, slot)

    def _option(self, place: str) -> str:
        index = _PLACES.index(place)
        if index >= len(self._say.options):
            raise UngroundedError(self._say.prompt, f"option.{place} is not known")
        return fill(self._say.options[index], self.place)

    def _words(self, value: Scalar, filter_: str, currency: Scalar | None, slot: Slot | None) -> str:
        if slot is not None and slot.type == "enum" and isinstance(value, str):
            words = slot.values.get(value, {}).get(self._locale, ())
            return words[0] if words else value
        if filter_ == "money":
            unit = str(currency or self._bundle.agent.locales[self._locale].currency)
            return self._speaker.say(value, "money", currency=unit)
        if not filter_ and isinstance(value, str):
            return value
        return self._speaker.say(value, filter_ or "number")

    def _value(self, name: str) -> Scalar | None:
        """The value at a name, and only when the ledger agrees with it."""
        given = self._say.facts.get(name)
        value = given.reveal() if given is not None else None
        root, _, rest = name.partition(".")
        if root == "slot":
            return None if value is None else self._of_slot(name, rest, value)
        if root == "option":
            return None if value is None else self._of_option(name, value)
        if value is None:
            return self._ledger.one(root, rest)
        if value not in self._ledger.values(root, rest):
            raise UngroundedError(self._say.prompt, f"{name} was not answered by {root}")
        return value

    def _of_slot(self, name: str, rest: str, value: Scalar) -> Scalar:
        slot_name, _, field = rest.partition(".")
        slot = self._bundle.slots.get(slot_name)
        resolved = slot is not None and slot.resolve is not None and bool(field)
        if resolved and slot is not None and slot.resolve is not None:
            allowed = self._ledger.allows(slot.resolve.tool, field)
            if value not in allowed:
                raise UngroundedError(self._say.prompt, f"{name} is in no record of {slot.resolve.tool}")
        return value

    def _of_option(self, name: str, value: Scalar) -> Scalar:
        """A record's field must have been read; a value the caller said (a rival reading) has no field of a record."""
        field = name.split(".")[2] if name.count(".") == 2 else ""
        tools = {slot.resolve.tool for slot in self._bundle.slots.values() if slot.resolve is not None}
        of_records = {tool for tool in tools if field and self._fields(tool, field)}
        if field in ("minor", "currency") and not of_records:
            return value
        if of_records and not any(value in self._ledger.allows(tool, field) for tool in of_records):
            if field in ("minor", "currency"):
                return value
            raise UngroundedError(self._say.prompt, f"{name} is in no record of this call")
        return value

    def _fields(self, tool: str, field: str) -> bool:
        operation = self._bundle.contracts.get(self._bundle.tools[tool].contract)
        return operation is not None and field in operation.answer
