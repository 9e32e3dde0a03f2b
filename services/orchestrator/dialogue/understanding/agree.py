"""Which goals are started, and when it is asked instead: the model and the second opinion must agree. Pure.

model ──goals──┐
               ├─ same goal, sure ──► started
opinion ─goals─┘  same, less sure ──► asked: that one, or the next
                  different       ──► asked: the two
                  neither likely  ──► nothing
"""

from collections.abc import Sequence
from dataclasses import dataclass

from services.orchestrator.dialogue.model import Act, Legal
from services.orchestrator.dialogue.understanding import bands
from services.orchestrator.dialogue.understanding.bands import ACCEPT, CLARIFY, LEAST_HEARD, Vote
from services.orchestrator.dialogue.understanding.examples import Opinion


@dataclass(frozen=True, slots=True)
class Goals:
    """Started, each with how sure that is; or two to be asked about; or nothing of either. `sure`: of the likeliest."""

    started: tuple[Act, ...] = ()
    rivals: tuple[str, ...] = ()
    sure: float = 0.0


def agree(proposed: Sequence[Act] | None, opinion: Opinion, legal: Legal, locale: str, heard: float = 1.0) -> Goals:
    """`proposed`: the model's acts, None when it did not answer; only its starts count here."""
    ranked = opinion.ranked(legal.goals)
    if not ranked:
        return Goals()
    likeliest = ranked[0]
    goals = None if proposed is None else [a.name for a in proposed if a.kind == "start" and a.name in ranked]
    sure = bands.confidence(locale, opinion, likeliest, _vote(goals, likeliest))
    if goals and likeliest in goals:
        if sure >= ACCEPT and heard >= LEAST_HEARD and not bands.level(locale, opinion, likeliest, legal.goals):
            started = [Act("start", likeliest, confidence=round(sure, 3))]
            started += [act for goal in goals if goal != likeliest and (act := _also(goal, opinion, locale))]
            return Goals(tuple(started), sure=sure)
        second = next((goal for goal in goals if goal != likeliest), "") or _next(ranked)
        return Goals(rivals=_two(likeliest, second), sure=sure) if sure >= CLARIFY else Goals(sure=sure)
    if sure < CLARIFY:
        return Goals(sure=sure)
    return Goals(rivals=_two(likeliest, goals[0] if goals else _next(ranked)), sure=sure)


def among(rivals: Sequence[str], opinion: Opinion) -> str | None:
    """Which of the goals just named the words mean: they answer a question, so no model is asked. None: neither."""
    ranked = opinion.ranked(rivals)
    if not ranked or opinion.ranked(tuple(opinion.of))[0] not in rivals:
        return None
    score, _ = bands.over_nothing(opinion, ranked[0])
    behind = opinion.of[ranked[1]].score if len(ranked) > 1 else 0.0
    return ranked[0] if score - behind >= CHOSEN_BY else None


# By how much the one that is meant leads the other, when the caller picks one of two.
CHOSEN_BY = 0.1


def _vote(goals: Sequence[str] | None, likeliest: str) -> Vote:
    if goals is None:
        return "absent"
    if not goals:
        return "nothing"
    return "same" if likeliest in goals else "other"


def _also(goal: str, opinion: Opinion, locale: str) -> Act | None:
    """A second goal in the same words, if the opinion sees it too: beside the first, so only against nothing."""
    weights = bands.WEIGHTS[bands.kind_of(locale, opinion)]
    sure = weights(*bands.over_nothing(opinion, goal), "same")
    return Act("start", goal, confidence=round(sure, 3)) if sure >= ACCEPT else None


def _next(ranked: Sequence[str]) -> str:
    return ranked[1] if len(ranked) > 1 else ""


def _two(first: str, second: str) -> tuple[str, ...]:
    return tuple(goal for goal in (first, second) if goal)
