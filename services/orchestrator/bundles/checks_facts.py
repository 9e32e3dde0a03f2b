"""Facts and identity: a fact that a rule reads comes from somewhere, a secret goes where it is not written down."""

from collections.abc import Iterator

from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.bundles.contracts import Field
from services.orchestrator.bundles.load import Loaded
from services.orchestrator.bundles.model import FactSource, FactType
from services.orchestrator.bundles.names import nearest
from services.orchestrator.bundles.problem import Place, Problem
from services.orchestrator.bundles.rules import names_in

_FILE = "agent.yaml"
_KINDS: dict[FactType, str] = {
    "int": "integer",
    "double": "number",
    "bool": "boolean",
    "string": "string",
    "timestamp": "string",
    "list(string)": "array",
}
# What the server can fill in by itself.
_OWN = ("caller.", "=")


def check_facts(loaded: Loaded, bundle: Bundle) -> Iterator[Problem]:
    """Sources of facts, ways to identify a caller."""
    read = {name for rule in bundle.rules for name in names_in(rule.require)}
    read |= {name for tool in bundle.tools.values() if tool.confirm for name in names_in(tool.confirm.when)}
    for name, fact in bundle.agent.facts.items():
        place = loaded.place(_FILE, "facts", name)
        if isinstance(fact, FactSource):
            yield from _source(bundle, place, name, fact)
        elif name in read:
            yield Problem(
                place,
                "B053",
                f"A rule reads {name!r}, which comes from nowhere: it could never be decided.",
                f"Write {name}: {{type: {fact}, tool: …, field: …}}.",
            )
    yield from _number(loaded, bundle)
    yield from _keys(loaded, bundle)


def _source(bundle: Bundle, place: Place, name: str, fact: FactSource) -> Iterator[Problem]:
    tool = bundle.tools.get(fact.tool)
    if tool is None:
        yield Problem(
            place, "B055", f"Fact {name!r} comes from an unknown tool {fact.tool!r}.", nearest(fact.tool, bundle.tools)
        )
        return
    operation = bundle.contracts.get(tool.contract)
    slots = [argument for argument, origin in tool.args.items() if not origin.startswith(_OWN)]
    if tool.effect != "read" or slots or (operation is not None and operation.many):
        yield Problem(
            place,
            "B056",
            f"Fact {name!r}: the server cannot fetch it by {fact.tool!r} alone.",
            "Name a tool that reads one record and takes only caller.* and constants.",
        )
    yield from _field(place, f"Fact {name!r}", operation.answer if operation else {}, fact.field, _KINDS[fact.type])


def _number(loaded: Loaded, bundle: Bundle) -> Iterator[Problem]:
    way = bundle.agent.identify.number
    if way is None:
        return
    place = loaded.place(_FILE, "identify", "number", "tool")
    tool = bundle.tools.get(way.tool)
    if tool is None or tool.effect != "read" or set(tool.args.values()) != {"caller.ani"}:
        yield Problem(
            place,
            "B057",
            f"identify.number: {way.tool!r} is no tool that reads by caller.ani alone.",
            nearest(way.tool, bundle.tools) if tool is None else "Give it effect: read and args: {number: caller.ani}.",
        )
        return
    operation = bundle.contracts.get(tool.contract)
    yield from _field(place, "identify.number", operation.answer if operation else {}, way.subject, "string")


def _keys(loaded: Loaded, bundle: Bundle) -> Iterator[Problem]:
    way = bundle.agent.identify.keys
    if way is None:
        return
    place = loaded.place(_FILE, "identify", "keys", "tool")
    tool = bundle.tools.get(way.tool)
    if tool is None or tool.effect != "identify":
        yield Problem(
            place,
            "B057",
            f"identify.keys: {way.tool!r} is no tool of effect identify.",
            nearest(way.tool, bundle.tools) if tool is None else "Give it effect: identify.",
        )
        return
    operation = bundle.contracts.get(tool.contract)
    where = operation.params[way.argument].where if operation and way.argument in operation.params else ""
    if tool.args.get(way.argument) != "caller.secret" or where != "body":
        yield Problem(
            place,
            "B054",
            f"identify.keys: {way.argument!r} of {way.tool!r} does not take the secret in the body of the request.",
            f"Give it args.{way.argument}: caller.secret, and have the contract take it in the body.",
        )
    yield from _field(place, "identify.keys", operation.answer if operation else {}, way.verified, "boolean")


def _field(place: Place, what: str, answer: dict[str, Field] | object, field: str, kind: str) -> Iterator[Problem]:
    known = answer if isinstance(answer, dict) else {}
    if field not in known:
        yield Problem(place, "B055", f"{what}: the contract does not answer {field!r}.", nearest(field, known))
    elif known[field].type != kind:
        yield Problem(
            place, "B058", f"{what}: {field!r} is of type {known[field].type}, expected {kind}.", "Correct the type."
        )
