"""Tools and rules: the contract fits, a rule guards each tool, a write happens at most once and can fail well."""

import re
from collections.abc import Iterator

from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.bundles.contracts import Operation
from services.orchestrator.bundles.load import Loaded
from services.orchestrator.bundles.model import FactType, Tool
from services.orchestrator.bundles.names import nearest
from services.orchestrator.bundles.problem import Problem
from services.orchestrator.bundles.rules import RuleSet

_FILE = "tools.yaml"
_LOCK_HOLE = re.compile(r"\{([^{}]*)\}")
# What an argument may be filled from beside slots.
_CALLER = frozenset({"caller.subject", "caller.ani", "caller.locale"})


def check_tools(loaded: Loaded, bundle: Bundle) -> Iterator[Problem]:
    """Everything about tools and rules."""
    rules = RuleSet(bundle.facts())
    guarded = {tool for rule in bundle.rules for tool in rule.tools}
    done = {tool for goal in bundle.goals.values() for tool in goal.do}
    resolving = {slot.resolve.tool for slot in bundle.slots.values() if slot.resolve is not None}
    # Asked by the runtime itself, before anybody may do anything.
    own = {source.tool for source in bundle.agent.fact_sources().values()} | set(bundle.agent.identifying())
    for name, tool in bundle.tools.items():
        if name not in guarded and name not in own - done - resolving:
            yield Problem(
                loaded.place(_FILE, name),
                "B040",
                f"No rule names the tool {name!r}, so it would always be denied.",
                "Add a rule for it in rules.yaml.",
            )
        if name not in done | resolving | own:
            yield Problem(
                loaded.place(_FILE, name), "B041", f"Nothing uses the tool {name!r}.", "Use it, or remove it."
            )
        yield from _contract(loaded, bundle, name, tool)
        if tool.writes:
            yield from _write(loaded, bundle, name, tool)
        if tool.confirm is not None and (fault := rules.check(tool.confirm.when)) is not None:
            place = loaded.place(_FILE, name, "confirm", "when")
            yield Problem(place, "B042", f"confirm.when of {name!r}: {fault.message}.", "Use declared facts only.")
        if tool.degrade is not None and tool.degrade.handoff is not None:
            routes = bundle.agent.escalation.routes
            if tool.degrade.handoff not in routes:
                place = loaded.place(_FILE, name, "degrade", "handoff")
                yield Problem(
                    place, "B034", f"There is no route {tool.degrade.handoff!r}.", nearest(tool.degrade.handoff, routes)
                )
    yield from _rules(loaded, bundle, rules)
    yield from _resolve(loaded, bundle)


def _contract(loaded: Loaded, bundle: Bundle, name: str, tool: Tool) -> Iterator[Problem]:
    operation = bundle.contracts.get(tool.contract)
    if operation is None:
        yield Problem(
            loaded.place(_FILE, name, "contract"),
            "B061",
            f"Tool {name!r}: no operation {tool.contract!r} in the contracts.",
            nearest(tool.contract, bundle.contracts),
        )
        return
    for key in ("status", "compensate"):
        other = getattr(tool, key)
        if other is not None and other not in bundle.contracts:
            place = loaded.place(_FILE, name, key)
            yield Problem(place, "B061", f"Tool {name!r}: no operation {other!r}.", nearest(other, bundle.contracts))
    if operation.reads and tool.writes:
        place = loaded.place(_FILE, name, "effect")
        yield Problem(
            place, "B062", f"Tool {name!r} is a write, but {tool.contract} is a GET.", "Correct effect or contract."
        )
    if operation.reads and tool.effect == "identify":
        place = loaded.place(_FILE, name, "effect")
        yield Problem(
            place,
            "B054",
            f"Tool {name!r} takes a secret, but {tool.contract} is a GET: the secret would stand in logs.",
            "Have the contract take it in the body of a POST.",
        )
    elif not operation.reads and tool.effect == "read":
        place = loaded.place(_FILE, name, "effect")
        yield Problem(
            place,
            "B062",
            f"Tool {name!r} is declared read, but {tool.contract} is a {operation.method.upper()}.",
            "Correct effect or contract.",
        )
    yield from _arguments(loaded, bundle, name, tool, operation)
    for index, field in enumerate(tool.says):
        if field not in operation.answer:
            place = loaded.place(_FILE, name, "says", index)
            yield Problem(
                place, "B064", f"{tool.contract} does not answer {field!r}.", nearest(field, operation.answer)
            )


def _arguments(loaded: Loaded, bundle: Bundle, name: str, tool: Tool, operation: Operation) -> Iterator[Problem]:
    for argument, origin in tool.args.items():
        place = loaded.place(_FILE, name, "args", argument)
        if argument not in operation.params:
            yield Problem(
                place, "B063", f"{tool.contract} has no argument {argument!r}.", nearest(argument, operation.params)
            )
        if origin.startswith("=") or (origin == "caller.secret" and tool.effect == "identify"):
            continue
        slot = origin.removeprefix("slot.").split(".")[0]
        if not origin.startswith("slot."):
            if origin not in _CALLER:
                yield Problem(
                    place,
                    "B065",
                    f"Argument {argument!r} comes from {origin!r}, which is no evidence.",
                    f"Use slot.NAME, {', '.join(sorted(_CALLER))}, or a constant ='text'.",
                )
        elif slot not in bundle.slots:
            yield Problem(place, "B065", f"Argument {argument!r}: no slot {slot!r}.", nearest(slot, bundle.slots))
    for argument, field in operation.params.items():
        if field.required and argument not in tool.args:
            yield Problem(
                loaded.place(_FILE, name),
                "B066",
                f"Tool {name!r} does not give {argument!r}, which {tool.contract} requires.",
                f"Add args.{argument}.",
            )


def _write(loaded: Loaded, bundle: Bundle, name: str, tool: Tool) -> Iterator[Problem]:
    place = loaded.place(_FILE, name)
    if tool.idempotency is None:
        yield Problem(
            place, "B043", f"The write {name!r} has no idempotency.", "Add idempotency: {scope: […], window_s: …}."
        )
    else:
        for index, scope in enumerate(tool.idempotency.scope):
            if scope not in tool.args and scope != "subject":
                where = loaded.place(_FILE, name, "idempotency", "scope", index)
                yield Problem(
                    where,
                    "B047",
                    f"The idempotency scope {scope!r} is no argument of {name!r}.",
                    nearest(scope, tool.args),
                )
    if not tool.locks:
        yield Problem(place, "B044", f"The write {name!r} locks nothing.", 'Add locks: ["thing:{argument}"].')
    for index, lock in enumerate(tool.locks):
        for hole in _LOCK_HOLE.findall(lock):
            if hole not in tool.args and hole != "subject":
                where = loaded.place(_FILE, name, "locks", index)
                yield Problem(
                    where, "B048", f"The lock {lock!r} names no argument of {name!r}.", nearest(hole, tool.args)
                )
    if tool.degrade is None:
        yield Problem(
            place, "B045", f"The write {name!r} does not say what happens when its back end is away.", "Add degrade."
        )
    operation = bundle.contracts.get(tool.contract)
    takes_key = operation is not None and operation.takes_idempotency_key
    if operation is not None and not takes_key and tool.status is None and tool.effect == "write_money":
        yield Problem(
            place,
            "B046",
            f"{name!r} moves money, but its back end takes no Idempotency-Key and has no status query.",
            "Add status: file#operation, or have the contract take the key.",
        )
    if tool.effect == "write_money" and tool.confirm is None:
        yield Problem(place, "B049", f"{name!r} moves money without asking.", "Add confirm: {when: 'true', prompt: …}.")


def _rules(loaded: Loaded, bundle: Bundle, rules: RuleSet) -> Iterator[Problem]:
    file, seen = "rules.yaml", set[str]()
    for index, rule in enumerate(bundle.rules):
        if rule.id in seen:
            yield Problem(
                loaded.place(file, index, "id"), "B050", f"The rule id {rule.id!r} stands twice.", "Rename one."
            )
        seen.add(rule.id)
        for number, tool in enumerate(rule.tools):
            if tool not in bundle.tools:
                place = loaded.place(file, index, "tools", number)
                yield Problem(
                    place, "B051", f"Rule {rule.id!r} guards an unknown tool {tool!r}.", nearest(tool, bundle.tools)
                )
        facts = RuleSet({**bundle.facts(), **_argument_facts(bundle, rule.tools)})
        fault = facts.check(rule.require)
        if fault is not None:
            hint = nearest(_undeclared(fault.message), bundle.facts()) if "undeclared" in fault.message else ""
            place = loaded.place(file, index, "require")
            yield Problem(
                place, "B052", f"Rule {rule.id!r}: {fault.message}.", hint or "Facts are typed; see agent.yaml."
            )


def _argument_facts(bundle: Bundle, tools: tuple[str, ...]) -> dict[str, FactType]:
    """args.* of the guarded tools, with the types of their contracts, where all of them agree."""
    kinds: dict[str, FactType] = {"integer": "int", "number": "double", "boolean": "bool", "string": "string"}
    found: dict[str, FactType] = {}
    for name in tools:
        tool = bundle.tools.get(name)
        operation = bundle.contracts.get(tool.contract) if tool is not None else None
        for argument, field in operation.params.items() if operation is not None else ():
            found[f"args.{argument}"] = kinds.get(field.type, "string")
    return found


def _undeclared(message: str) -> str:
    found = re.search(r"'([^']+)'", message)
    return found[1] if found else ""


def _resolve(loaded: Loaded, bundle: Bundle) -> Iterator[Problem]:
    for name, slot in bundle.slots.items():
        if slot.resolve is None:
            continue
        tool = bundle.tools.get(slot.resolve.tool)
        if tool is None:
            place = loaded.place("slots.yaml", name, "resolve", "tool")
            yield Problem(
                place, "B067", f"Slot {name!r} resolves by an unknown tool.", nearest(slot.resolve.tool, bundle.tools)
            )
            continue
        operation = bundle.contracts.get(tool.contract)
        if operation is None:
            continue
        for index, field in enumerate(slot.resolve.match):
            if field not in operation.answer:
                place = loaded.place("slots.yaml", name, "resolve", "match", index)
                yield Problem(
                    place, "B064", f"{tool.contract} does not answer {field!r}.", nearest(field, operation.answer)
                )
