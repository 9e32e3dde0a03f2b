"""Trends: how well it goes, beside whether it is safe. Figures to compare between versions; none of them is a gate."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from services.cli.evals.transcript import Transcript

# misheard: another value, or words that matter are wrong; ambiguous: as it was said it may be several values.
Hearing = Literal["misheard", "ambiguous", "clear"]
# Questions that name what may have been meant; sentences that say that nothing was taken.
ASKS = frozenset({"talk.which", "talk.which_goal", "talk.is_it"})
NOT_TAKEN = frozenset({"talk.not_heard", "talk.none_found"})


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
    # How each of the caller's turns was heard, as far as that is known (of planted slips it is not).
    hearing: Mapping[int, Hearing]
    # Caller turns until the goal was done.
    turns_to_goal: int | None


@dataclass(slots=True)
class _Clarified:
    # Questions by why they were needed, or "needless", and by sentence.
    why: Counter[str] = field(default_factory=Counter)
    by_sentence: Counter[str] = field(default_factory=Counter)
    # What followed words that were misheard.
    misheard: Counter[str] = field(default_factory=Counter)


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
        """A question is needed after words that were misheard, or that as they were said may be several values or
        records. Words that were misheard are caught by one, by not being taken, or by a read-back later in the call.
        """
        total = _Clarified()
        for one in self.counted:
            _clarified(one, total)
        needed, misheard = sum(total.why.values()) - total.why["needless"], sum(total.misheard.values())
        return {
            "asked": sum(total.why.values()),
            "why": dict(sorted(total.why.items())),
            "needless_by_sentence": dict(sorted(total.by_sentence.items())),
            "precision": _share(needed, sum(total.why.values())),
            "misheard": misheard,
            "then": dict(sorted(total.misheard.items())),
            "recall": _share(misheard - total.misheard["went on"], misheard),
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


def _clarified(one: Counted, total: _Clarified) -> None:
    spoken = one.transcript.spoken
    for index, said in enumerate(spoken):
        hearing = one.hearing.get(said.turn)
        if said.who != "caller" or said.keys or hearing is None:
            continue
        later = [after.prompt for after in spoken[index + 1 :] if after.who == "agent"]
        next_one = (at for at, after in enumerate(spoken[index + 1 :], index + 1) if after.who == "caller")
        after = [reply.prompt for reply in spoken[index + 1 : next(next_one, len(spoken))]]
        asked = next((prompt for prompt in after if prompt in ASKS), "")
        if asked:
            # Which of several records: those the words fit are several.
            several = hearing == "clear" and asked == "talk.which"
            why = "ambiguous" if several else "needless" if hearing == "clear" else hearing
            total.why[why] += 1
            total.by_sentence[asked] += why == "needless"
        if hearing == "misheard":
            total.misheard[_then(asked, after, later)] += 1


def _then(asked: str, after: Sequence[str], later: Sequence[str]) -> str:
    if asked:
        return "asked"
    if NOT_TAKEN & set(after):
        return "not taken"
    return "read back" if any(prompt.endswith("readback") for prompt in later) else "went on"


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _spread(values: Iterable[int]) -> dict[str, Any]:
    found = sorted(values)
    if not found:
        return {"n": 0, "median": None, "p95": None, "most": None}
    at_95 = found[min(len(found) - 1, int(0.95 * len(found)))]
    return {"n": len(found), "median": statistics.median(found), "p95": at_95, "most": found[-1]}
