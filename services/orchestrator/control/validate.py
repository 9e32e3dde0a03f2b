"""Whether a proposal is one: its arguments are those of the contract, of the right kind, and each has evidence.

Evidence binds a value to what the caller said or keyed, or to a record that a tool answered in this call: a value that
is in none of them was made up, by the model or by text planted in a back end's data, and is refused by name.
"""

import re
from collections.abc import Callable, Mapping

from services.orchestrator.bundles.contracts import Field, Operation
from services.orchestrator.bundles.model import Slot
from services.orchestrator.control.model import Proposal, Rejected, Scalar, Value

_TYPES: dict[str, tuple[type, ...]] = {"integer": (int,), "number": (int, float), "boolean": (bool,), "string": (str,)}
MAX_TEXT = 500
Says = Callable[[str, Value], bool]
_WORD = re.compile(r"[^\W_]+")


def check(
    proposal: Proposal,
    operation: Operation,
    records: Mapping[str, frozenset[Scalar]],
    slots: Mapping[str, Slot] | None = None,
    says: Says | None = None,
) -> Rejected | None:
    """None when it may go on to policy.

    `records`: per argument, the values that records of this call allow. `slots`: per argument, the slot it comes from.
    `says`: whether words may say an argument's value (control.reread), the evidence read a second time.
    """
    for name, field in operation.params.items():
        if field.required and name not in proposal.args:
            return Rejected(name, "is missing")
    for name, value in proposal.args.items():
        if name not in operation.params:
            return Rejected(name, "is no argument of the contract")
        fault = _kind(operation.params[name], value.value.reveal()) or _evidence(
            value, records.get(name, frozenset()), (slots or {}).get(name)
        )
        if fault:
            return Rejected(name, fault)
        if says is not None and value.evidence.origin in ("speech", "keys") and not says(name, value):
            return Rejected(name, "is not what the words say that should say it")
    return None


def _kind(field: Field, value: Scalar) -> str:
    kinds = _TYPES.get(field.type, (str,))
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        return f"is no {field.type}"
    if isinstance(value, str) and (len(value) > MAX_TEXT or any(ord(char) < 32 for char in value)):
        return "is no short line of text"
    return ""


def _evidence(value: Value, records: frozenset[Scalar], slot: Slot | None) -> str:
    plain, origin = value.value.reveal(), value.evidence.origin
    if origin in ("caller", "constant"):
        # Put there by the runtime, never by a model: the executor builds these itself.
        return ""
    if origin == "record" or (slot is not None and slot.type == "ref"):
        return "" if plain in records else "is in no record of this call"
    heard = value.evidence.text.reveal()
    if not heard.strip():
        return "has no words that say it"
    if slot is not None and slot.type == "enum":
        # A closed set, chosen by understanding from whatever words the caller has for it.
        return "" if plain in slot.values else "is no value of its slot"
    if slot is not None and slot.type != "text":
        # A grammar read it from the words and writes it its own way ("Y O one" is "YO1"); amounts bring a currency.
        return ""
    return "" if _said(plain, heard) else "is not in the words that should say it"


def _said(value: Scalar, heard: str) -> bool:
    """Words of a text value are among the words heard. Numbers were read by a grammar, which put them there."""
    if not isinstance(value, str):
        return True
    spoken = {word.casefold() for word in _WORD.findall(heard)}
    return all(word.casefold() in spoken for word in _WORD.findall(value))
