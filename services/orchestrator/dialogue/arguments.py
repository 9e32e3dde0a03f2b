"""Arguments from evidence: where a tool's `args` say a value comes from, it is taken, with what says it. Pure."""

from collections.abc import Mapping

from services.common.personal import Personal
from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.bundles.model import Tool
from services.orchestrator.control.keys import request_hash
from services.orchestrator.control.model import Evidence, Origin, Proposal, Scalar, Value
from services.orchestrator.dialogue.state import DialogueState, Given


def slots_of(tool: Tool) -> tuple[str, ...]:
    """The slots its arguments come from."""
    found = (source.split(".")[1] for source in tool.args.values() if source.startswith("slot."))
    return tuple(dict.fromkeys(found))


def arguments(bundle: Bundle, name: str, state: DialogueState) -> dict[str, Value]:
    """The arguments that are known; what is not known is left out, and validation says so by name."""
    found: dict[str, Value] = {}
    for argument, source in bundle.tools[name].args.items():
        value = _value(source, state)
        if value is not None:
            found[argument] = value
    return found


def proposal(bundle: Bundle, name: str, state: DialogueState) -> Proposal:
    """What is proposed now."""
    return Proposal(name, arguments(bundle, name, state), state.turn)


def digest(made: Proposal) -> str:
    """The hash a confirmation is bound to: the tool and every argument but who the caller is, which no caller says."""
    said = {name: value.value.reveal() for name, value in made.args.items() if value.evidence.origin not in ("caller",)}
    return request_hash(made.tool, said)


def _value(source: str, state: DialogueState) -> Value | None:
    if source.startswith("="):
        return Value(Personal(source[1:].strip().strip('"'), "constant"), Evidence("constant"))
    root, _, rest = source.partition(".")
    if root == "caller":
        known = state.caller.get(rest)
        return None if known is None else Value(known, Evidence("caller"))
    slot, _, field = rest.partition(".")
    given = state.slots.get(slot)
    if given is None or not given.settled:
        return None
    return _of_slot(given, field)


def _of_slot(given: Given, field: str) -> Value | None:
    spoken: Origin = "keys" if given.keyed else "speech"
    if given.record is not None and field:
        known = given.record.get(field)
        evidence = Evidence("record", given.turn, given.text, given.confidence)
        return None if known is None else Value(known, evidence, given.confirmed)
    data = given.data.reveal()
    evidence = Evidence(spoken, given.turn, given.text, given.confidence)
    if not isinstance(data, Mapping):
        return Value(Personal(data, "slot"), evidence, given.confirmed)
    part: Scalar | None = data.get(field)
    return None if part is None else Value(Personal(part, "slot"), evidence, given.confirmed)
