"""Collects keys into an answer: until it is as long as asked, a terminator, or no key for a while.

Sans-I/O: keys and times in, at most one KeysEntered out for each answer. The keys are in memory here and in the
decision only, wrapped as personal data there.
"""

from typing import Literal

from services.common.personal import Personal
from services.orchestrator.turns.decisions import KeysEntered
from services.orchestrator.turns.expectation import Expectation, KeypadRule

MS = 1_000_000
_KEYS = frozenset("0123456789*#ABCD")


def rule_for(expected: Expectation) -> KeypadRule:
    """The rule that was stated, or what the question implies."""
    if expected.keypad is not None:
        return expected.keypad
    if expected.kind == "digits" and expected.length:
        return KeypadRule(max_keys=expected.length)
    return KeypadRule()


class KeyCollector:
    """At most one answer in the making."""

    def __init__(self) -> None:
        self._keys = ""
        self._last_ns = 0
        self._rule = KeypadRule()
        self._masked = False

    @property
    def collecting(self) -> bool:
        """At least one key was pressed and the answer is not complete."""
        return bool(self._keys)

    def press(self, key: Personal[str], rule: KeypadRule, at_ns: int) -> KeysEntered | None:
        """Take a key under `rule`; the answer, if it is complete now. A terminator alone is no answer."""
        pressed = key.reveal().upper()
        if pressed not in _KEYS:
            return None
        self._rule, self._last_ns = rule, at_ns
        # Once secret, always secret: the question may have changed between two keys.
        self._masked = self._masked or rule.masked
        if pressed == rule.terminator:
            return self._complete("terminator") if self._keys else None
        self._keys += pressed
        return self._complete("complete") if len(self._keys) >= rule.max_keys else None

    def asked(self, rule: KeypadRule) -> None:
        """The question changed while keys were pressed: they belong to what is asked now."""
        if self._keys:
            self._rule, self._masked = rule, self._masked or rule.masked

    def deadline_ns(self) -> int | None:
        """When the answer is complete without another key; None: nothing was pressed."""
        return self._last_ns + self._rule.inter_digit_ms * MS if self._keys else None

    def due(self, at_ns: int) -> KeysEntered | None:
        """The answer, if nothing was pressed for long enough."""
        deadline_ns = self.deadline_ns()
        return self._complete("timeout") if deadline_ns is not None and at_ns >= deadline_ns else None

    def clear(self) -> None:
        """Forget what was pressed."""
        self._keys, self._masked = "", False

    def _complete(self, reason: Literal["complete", "terminator", "timeout"]) -> KeysEntered:
        entered = KeysEntered(Personal(self._keys, "keys"), self._masked, reason)
        self.clear()
        return entered
