"""A confirmation is of exactly one request and one speech that the caller heard to its end. Pure; time is an argument.

    judged, must confirm ──► read back (speech n, these arguments) ──heard to the end──► yes within N s ──► used once
                                   │ cut off, or another speech           │ argument changed, another act, too late
                                   └────────────► void ◄──────────────────┘

Void means: ask again. A yes is never carried over to other arguments, nor used twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from services.orchestrator.bundles.model import Tool
from services.orchestrator.control.keys import request_hash
from services.orchestrator.control.model import Proposal, Scalar

VALID_S = 60.0
Void = Literal["", "not asked", "not heard", "other arguments", "too late"]


@dataclass(frozen=True, slots=True)
class Asked:
    """One read-back. `heard_ns`: when its last word had been played; None while it was not."""

    tool: str
    request: str
    speech: int
    heard_ns: int | None = None


class Confirmations:
    """Of one call: at most one is open, for there is one question at a time."""

    def __init__(self, valid_s: float = VALID_S) -> None:
        self._valid_ns = int(valid_s * 1e9)
        self._asked: Asked | None = None

    def ask(self, proposal: Proposal, speech: int) -> None:
        """`speech` reads this proposal back; whatever was asked before is void."""
        self._asked = Asked(proposal.tool, bound(proposal), speech)

    def played(self, speech: int, complete: bool, now_ns: int) -> None:
        """A speech ended. One that was cut off was not heard."""
        asked = self._asked
        if asked is not None and asked.speech == speech:
            self._asked = Asked(asked.tool, asked.request, speech, now_ns) if complete else None

    def void(self, speech: int) -> None:
        """This speech does not say what it was to read back."""
        if self._asked is not None and self._asked.speech == speech:
            self._asked = None

    def judged(self, proposal: Proposal) -> None:
        """Something is being weighed: other arguments, or another act, void what was asked."""
        if self._asked is not None and self._asked.request != bound(proposal):
            self._asked = None

    def use(self, proposal: Proposal, now_ns: int) -> Void:
        """Empty when the caller confirmed exactly this; it is used up by that. Otherwise why it does not count."""
        asked, self._asked = self._asked, None
        if asked is None:
            return "not asked"
        if asked.request != bound(proposal):
            return "other arguments"
        if asked.heard_ns is None:
            return "not heard"
        return "too late" if now_ns - asked.heard_ns > self._valid_ns else ""


def bound(proposal: Proposal) -> str:
    """What a confirmation is bound to: tool and arguments, without who the caller is (no caller is asked that)."""
    said = {name: value.value.reveal() for name, value in proposal.args.items() if value.evidence.origin != "caller"}
    return request_hash(proposal.tool, said)


def reads_back(tool: Tool, proposal: Proposal, facts: Mapping[str, Scalar]) -> bool:
    """Whether what a sentence says are the arguments of the proposal: no "fifty" said and "fifteen" done."""
    for argument, origin in tool.args.items():
        if origin.startswith("slot.") and origin in facts:
            value = proposal.args.get(argument)
            if value is None or value.value.reveal() != facts[origin]:
                return False
    return True
