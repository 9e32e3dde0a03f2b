"""Whether a proposal may be done: all rules of the bundle that name its tool, over facts the server fetched.

Deny by default: no rule, no act; a rule that cannot be decided does not hold. The first rule that fails decides what
happens; a plain denial outranks a review, which outranks a step-up, so that nobody is asked to identify themselves
for what is refused anyway.
"""

from collections.abc import Mapping
from typing import Any

from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.bundles.model import FactType
from services.orchestrator.bundles.rules import Condition, RuleError, RuleSet
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

    def decide(self, tool: str, facts: Mapping[str, Any]) -> Allowed | Denied:
        """Over all facts known now, arguments among them as `args.NAME`."""
        mine = [(rule, condition) for rule, condition in self._rules if tool in rule.tools]
        failed = [rule for rule, condition in mine if not _holds(condition, facts)]
        if not mine:
            return Denied("", "deny", None)
        if failed:
            first = min(failed, key=lambda rule: _RANK[rule.otherwise])
            return Denied(first.id, first.otherwise, first.say)
        return Allowed(tuple(rule.id for rule, _ in mine))

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


def _holds(condition: Condition, facts: Mapping[str, Any]) -> bool:
    try:
        return condition.holds(facts)
    except RuleError:
        return False
