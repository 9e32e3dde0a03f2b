"""What the model may propose this turn, as a closed list of words; nothing that is not legal now can be written.

{"acts": ["start block_card"], "say": "…"}: the acts first, so that they are known before the sentence is; no values,
for they are read by grammars alone. Rebuilt for each turn from `Legal`.
"""

from collections.abc import Sequence
from typing import Any, Final

from services.orchestrator.dialogue.model import Act, Legal

MAX_ACTS: Final = 3
MAX_SAY_CHARS: Final = 120
NOTHING: Final = "nothing"
# Acts without a name that are always legal.
_ALWAYS: Final = ("person", "repeat", NOTHING)


def sayable(legal: Legal) -> tuple[str, ...]:
    """Every act the model may write now."""
    found = [f"start {goal}" for goal in legal.goals]
    found += [f"fill {slot}" for slot in legal.slots]
    if legal.asked == "yes_no":
        found += ["affirm", "deny"]
    if legal.active_goal:
        found.append("cancel")
    return (*found, *_ALWAYS)


def schema(legal: Legal) -> dict[str, Any]:
    """JSON Schema (2020-12); engines generate the properties in this order."""
    return {
        "type": "object",
        "properties": {
            "acts": {
                "type": "array",
                "items": {"enum": list(sayable(legal))},
                "minItems": 1,
                "maxItems": MAX_ACTS,
            },
            "say": {"type": "string", "maxLength": MAX_SAY_CHARS},
        },
        "required": ["acts", "say"],
        "additionalProperties": False,
    }


def read_acts(written: Sequence[str], legal: Legal) -> tuple[Act, ...]:
    """The acts that were written, each once; what is not legal (an engine without grammar, a stale turn) is nothing."""
    allowed = sayable(legal)
    found: dict[Act, None] = {}
    for text in written:
        if text not in allowed or text == NOTHING:
            continue
        kind, _, name = text.partition(" ")
        match kind:
            case "start":
                found[Act("start", name)] = None
            case "fill":
                found[Act("fill", name)] = None
            case "affirm" | "deny" | "cancel" | "person" | "repeat":
                found[Act(kind)] = None
    return tuple(found)
