"""Whether a proposal may be done: all rules of the bundle that name its tool, over facts the server fetched.

Deny by default: no rule, no act; a rule that cannot be decided does not hold. The first rule that fails decides what
happens; a plain denial outranks a review, which outranks a step-up, so that nobody is asked to identify themselves
for what is refused anyway. But a rule that cannot be decided while the caller is not identified far enough waits for
that: who calls is what the facts are fetched by.
"""

from collections.abc import Mapping
from typing import Any

from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.bundles.model import FactType, Rule
from services.orchestrator.bundles.rules import Condition, RuleError, RuleSet, names_in
from services.orchestrator.control.model import Allowed, Denied

_RANK = {"deny": 0, "human_review": 1, "step_up": 2}
_KINDS: dict[str, FactType] = {"integer": "int", "number": "double", "boolean": "bool", "string": "string"}


class Policy:
    """The compiled rules of one bundle."""

    def __init__(self, bundle: Bundle) -> None:
        self._rules = [(rule, self._compile(bundle, rule.tools, rule.require)) for rule in bundle.rules]
        self._confirm = {
            name: self._compile(bundle, (name,), tool.confirm.when)
            for name, tool in bundle.tools.items()
            if tool.confirm is not None
        }
        self._when = {name: tool.confirm.when for name, tool in bundle.tools.items() if tool.confirm is not None}

    def decide(self, tool: str, facts: Mapping[str, Any], waived: frozenset[str] = frozenset()) -> Allowed | Denied:
        """Over all facts known now, arguments among them as `args.NAME`. `waived`: review rules a person approved."""
        mine = [(rule, condition) for rule, condition in self._rules if tool in rule.tools]
        if not mine:
            return Denied("", "deny", None)
        failed, undecided = list[Rule](), set[str]()
        for rule, condition in mine:
            holds = _holds(condition, facts)
            if not holds and not (rule.otherwise == "human_review" and rule.id in waived):
                failed.append(rule)
            if holds is None:
                undecided.add(rule.id)
        if not failed:
            return Allowed(tuple(rule.id for rule, _ in mine))
        decided = [rule for rule in failed if rule.id not in undecided]
        step_ups = [rule for rule in decided if rule.otherwise == "step_up"]
        candidates = step_ups if step_ups and len(step_ups) == len(decided) else failed
        first = min(candidates, key=lambda rule: _RANK[rule.otherwise])
        return Denied(first.id, first.otherwise, first.say)

    def reads(self, tool: str) -> frozenset[str]:
        """The facts that the rules and the confirmation of a tool read: what has to be fetched."""
        found = {name for rule, _ in self._rules if tool in rule.tools for name in names_in(rule.require)}
        return frozenset(found | names_in(self._when.get(tool, "")))

    def must_confirm(self, tool: str, facts: Mapping[str, Any]) -> bool:
        """Whether the caller has to be asked first; a condition that cannot be decided asks."""
        condition = self._confirm.get(tool)
        if condition is None:
            return False
        try:
            return condition.holds(facts)
        except RuleError:
            return True

    @staticmethod
    def _compile(bundle: Bundle, tools: tuple[str, ...], expression: str) -> Condition:
        arguments = {
            f"args.{name}": _KINDS.get(field.type, "string")
            for tool in tools
            for name, field in bundle.contracts[bundle.tools[tool].contract].params.items()
        }
        return RuleSet({**bundle.facts(), **arguments}).compile(expression)


def _holds(condition: Condition, facts: Mapping[str, Any]) -> bool | None:
    """None when it cannot be decided."""
    try:
        return condition.holds(facts)
    except RuleError:
        return None
