"""The model's prompt: the same for all calls of a bundle and locale, but for the caller's words, which come last.

All of it but the last message is in the engine's prefix cache before anybody speaks (`warm`). The examples are the
bundle's own entry phrases, one goal after the other in turns (a small model repeats what it saw last), with sentences
between them that want nothing of any goal.
"""

import json
from collections.abc import Iterator
from itertools import zip_longest
from typing import Final

from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.dialogue.history import Message
from services.orchestrator.dialogue.understanding.nothing import nothing
from services.orchestrator.dialogue.understanding.schema import NOTHING

MAX_SHOTS: Final = 28
_TASK: Final = (
    "You sort what callers of a telephone line say. Answer with JSON: the acts the caller means, then one short"
    ' sentence to say. Acts: {acts}. If the caller wants something else, or you are not sure, the act is "nothing".'
)


def prefix(bundle: Bundle, locale: str) -> tuple[Message, ...]:
    """System message and examples."""
    goals = ", ".join(f'"start {goal}"' for goal in bundle.goals)
    found = [Message("system", f"{_TASK.format(acts=goals)} {bundle.prompt(bundle.agent.system, locale).text}")]
    for words, act in _shots(bundle, locale):
        found += [Message("user", words), Message("assistant", answer(act))]
    return tuple(found)


def answer(act: str, say: str = "") -> str:
    """One act as the model writes it: compact, as the engine's grammar has it."""
    return json.dumps({"acts": [act], "say": say}, separators=(",", ":"), ensure_ascii=False)


def _shots(bundle: Bundle, locale: str) -> list[tuple[str, str]]:
    by_goal = [[(phrase, f"start {name}") for phrase in goal.entry[locale]] for name, goal in bundle.goals.items()]
    empty = nothing(locale)

    def rounds() -> Iterator[tuple[str, str]]:
        used = 0
        for row in zip_longest(*by_goal):
            shown = [shot for shot in row if shot is not None]
            yield from shown
            # Two in five: with as many as goals, a small model says "nothing" to most.
            more = max(1, round(len(shown) * 0.4))
            yield from ((words, NOTHING) for words in empty[used : used + more])
            used += more

    return list(rounds())[:MAX_SHOTS]
