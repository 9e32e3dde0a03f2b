"""Trends: how well it goes, beside whether it is safe. Figures to compare between versions; none of them is a gate."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.cli.evals.transcript import CLARIFIES, Spoken, Transcript


@dataclass(frozen=True, slots=True)
class Entity:
    """One value as understood beside the one that was said."""

    slot_type: str
    locale: str
    right: bool


@dataclass(frozen=True, slots=True)
class Counted:
    """What one conversation gives the trends. `success`: None where nothing can be said (the caller hung up)."""

    name: str
    transcript: Transcript
    success: bool | None
    entities: Sequence[Entity]
    wanted_person: bool
    # Caller turns until the goal was done.
    turns_to_goal: int | None


@dataclass(slots=True)
class _Clarified:
    asked: int = 0
    asked_rightly: int = 0
    unsure: int = 0
    unsure_caught: int = 0


@dataclass(slots=True)
class Trends:
    """Over all conversations of a run."""

    counted: list[Counted] = field(default_factory=list)

    def add(self, one: Counted) -> None:
        """One more."""
        self.counted.append(one)

    def to_json(self) -> dict[str, Any]:
        """As in the result file; a share with nothing under it is null."""
        return {
            "task_success": self._success(),
            "clarification": self._clarification(),
            "entities": self._entities(),
            "turns_to_goal": _spread([one.turns_to_goal for one in self.counted if one.turns_to_goal is not None]),
            "escalation": self._escalation(),
        }

    def _success(self) -> dict[str, Any]:
        """Over all, and per scenario over its runs: `always` is the share that succeeded in each of them (pass^k)."""
        tried = [one for one in self.counted if one.success is not None]
        by_name: dict[str, list[bool]] = defaultdict(list)
        for one in tried:
            by_name[one.name].append(bool(one.success))
        return {
            "conversations": len(tried),
            "share": _share(sum(bool(one.success) for one in tried), len(tried)),
            "always": _share(sum(all(runs) for runs in by_name.values()), len(by_name)),
        }

    def _clarification(self) -> dict[str, Any]:
        """A clarification is right after words that were misheard; misheard words are caught by one, or by a read-back
        that the caller then corrects or that names the right value."""
        total = _Clarified()
        for one in self.counted:
            _clarified(one.transcript.spoken, total)
        return {
            "asked": total.asked,
            "misheard": total.unsure,
            "precision": _share(total.asked_rightly, total.asked),
            "recall": _share(total.unsure_caught, total.unsure),
        }

    def _entities(self) -> dict[str, Any]:
        heard: Counter[tuple[str, str]] = Counter()
        right: Counter[tuple[str, str]] = Counter()
        for one in self.counted:
            for entity in one.entities:
                heard[entity.locale, entity.slot_type] += 1
                right[entity.locale, entity.slot_type] += entity.right
        found: dict[str, dict[str, Any]] = defaultdict(dict)
        for (locale, kind), count in sorted(heard.items()):
            found[locale][kind] = {"n": count, "accuracy": _share(right[locale, kind], count)}
        return dict(found)

    def _escalation(self) -> dict[str, Any]:
        """Callers who asked for a person, and how many of their turns it took."""
        asked = [one for one in self.counted if one.wanted_person]
        given = [one.transcript.over.turns for one in asked if one.transcript.over.how == "handed_over"]
        others = [one for one in self.counted if not one.wanted_person]
        return {
            "asked_for": len(asked),
            "given": len(given),
            "turns": _spread(given),
            "unasked": sum(one.transcript.over.how == "handed_over" for one in others),
            "reasons": dict(
                Counter(one.transcript.over.reason for one in others if one.transcript.over.how == "handed_over")
            ),
        }


def _clarified(spoken: Sequence[Spoken], total: _Clarified) -> None:
    for index, one in enumerate(spoken):
        if one.who != "caller":
            continue
        after = []
        for said in spoken[index + 1 :]:
            if said.who == "caller":
                break
            after.append(said.prompt)
        asks = bool(CLARIFIES & set(after))
        unsure = bool(one.notes)
        total.asked += asks
        total.asked_rightly += asks and unsure
        total.unsure += unsure
        reads_back = any(prompt.endswith("readback") for prompt in after)
        total.unsure_caught += unsure and (asks or reads_back)


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _spread(values: Iterable[int]) -> dict[str, Any]:
    found = sorted(values)
    if not found:
        return {"n": 0, "median": None, "p95": None, "most": None}
    at_95 = found[min(len(found) - 1, int(0.95 * len(found)))]
    return {"n": len(found), "median": statistics.median(found), "p95": at_95, "most": found[-1]}
