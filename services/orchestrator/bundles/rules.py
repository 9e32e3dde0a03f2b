"""Rules in CEL over declared, typed facts: compiled and type-checked at publish, evaluated in microseconds.

The one place that knows the CEL package (young: pinned, behind this adapter). An error while evaluating (a fact that
is missing, a division by zero) is not false but `RuleError`: policy denies on it and says which rule broke.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cel_expr_python import cel

from services.common.errors import TrunklineError
from services.orchestrator.bundles.model import FactType

_TYPES: dict[FactType, cel.Type] = {
    "int": cel.Type.INT,
    "double": cel.Type.DOUBLE,
    "bool": cel.Type.BOOL,
    "string": cel.Type.STRING,
    "timestamp": cel.Type.TIMESTAMP,
    "list(string)": cel.Type.List(cel.Type.STRING),
}
_WHERE = re.compile(r"ERROR: <input>:(\d+):(\d+): ([^\n]*?)(?: \(in container ''\))?(?:\n|$)")
_TEXT = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")
_NAME = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)+")
MAX_EXPRESSION = 2_000


class RuleError(TrunklineError):
    """A rule could not be compiled, or not be decided from the facts at hand."""


@dataclass(frozen=True, slots=True)
class CompileFault:
    """Why an expression does not compile; `column` counts from 0 within it."""

    message: str
    column: int


def names_in(expression: str) -> frozenset[str]:
    """The dotted names a condition reads."""
    return frozenset(_NAME.findall(_TEXT.sub("''", expression)))


class RuleSet:
    """Compiles conditions over one bundle's facts."""

    def __init__(self, facts: Mapping[str, FactType]) -> None:
        self._facts = dict(facts)
        self._env = cel.NewEnv(variables={name: _TYPES[kind] for name, kind in facts.items()})

    def check(self, expression: str) -> CompileFault | None:
        """None when the expression is a condition over declared facts."""
        if len(expression) > MAX_EXPRESSION:
            return CompileFault(f"a condition has at most {MAX_EXPRESSION} characters", 0)
        try:
            kind = self._env.compile(expression).return_type()
        except RuntimeError as error:
            found = _WHERE.search(str(error))
            return CompileFault(found[3], int(found[2]) - 1) if found else CompileFault("it does not compile", 0)
        if kind.name() != "BOOL":
            return CompileFault(f"expected a condition (bool), got {kind.name().lower()}", 0)
        return None

    def compile(self, expression: str) -> "Condition":
        """Raises RuleError with what `check` says."""
        fault = self.check(expression)
        if fault is not None:
            raise RuleError(f"The rule does not compile: {fault.message}.")
        return Condition(self._env.compile(expression), frozenset(self._facts))


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled condition."""

    _expression: cel.Expression
    _known: frozenset[str]

    def holds(self, facts: Mapping[str, Any]) -> bool:
        """Whether it is true of `facts`. Raises RuleError when it cannot be decided; never guesses."""
        value = self._expression.eval(data={name: fact for name, fact in facts.items() if name in self._known})
        plain = value.plain_value() if value.type().name() == "BOOL" else None
        if not isinstance(plain, bool):
            # The message may quote values: keep its kind only.
            raise RuleError("The rule could not be decided from the facts at hand.")
        return plain
