"""What one call may say and act upon: the answers of back ends in it, reads and acts, as they came. Pure.

The newest act of a tool counts: after a second block that failed, "your card is blocked" is not to be said of the
first one's answer.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from services.orchestrator.control.model import Outcome, Scalar

Record = Mapping[str, Scalar]


@dataclass(slots=True)
class Ledger:
    """Filled by the control layer alone."""

    _records: dict[str, tuple[Record, ...]] = field(default_factory=dict)
    _outcomes: dict[str, Outcome] = field(default_factory=dict)
    # Everything a record held while it was offered, so that "the second one" of an earlier list can still be named.
    _seen: dict[str, list[Record]] = field(default_factory=dict)

    def read(self, tool: str, records: Sequence[Record]) -> None:
        """A read answered."""
        self._records[tool] = tuple(records)
        seen = self._seen.setdefault(tool, [])
        seen += [record for record in records if record not in seen]

    def done(self, tool: str, outcome: Outcome) -> None:
        """An act has this outcome now."""
        self._outcomes[tool] = outcome

    def has(self, need: str) -> bool:
        """Whether `TOOL.committed` or `TOOL.ok` holds."""
        tool, _, what = need.partition(".")
        if what == "ok":
            return tool in self._records
        outcome = self._outcomes.get(tool)
        return what == "committed" and outcome is not None and outcome.state == "committed"

    def any_committed(self) -> bool:
        """Whether anything was done in this call."""
        return any(outcome.state == "committed" for outcome in self._outcomes.values())

    def records(self, tool: str) -> tuple[Record, ...] | None:
        """The newest answer of a read; None when it was not asked."""
        return self._records.get(tool)

    def allows(self, tool: str, name: str) -> frozenset[Scalar]:
        """The values of a field over all records of this call: what an argument taken from one may be."""
        return frozenset(record[name] for record in self._seen.get(tool, ()) if name in record)

    def values(self, tool: str, name: str) -> tuple[Scalar, ...]:
        """What a sentence may say at {TOOL.FIELD}: of the committed act, or of any record that was read."""
        outcome = self._outcomes.get(tool)
        if outcome is not None:
            known = outcome.answer.get(name) if outcome.state == "committed" else None
            return () if known is None else (known,)
        return tuple(self.allows(tool, name))

    def one(self, tool: str, name: str) -> Scalar | None:
        """The value when there is exactly one in the newest answer."""
        outcome = self._outcomes.get(tool)
        if outcome is not None:
            return outcome.answer.get(name) if outcome.state == "committed" else None
        records = self._records.get(tool, ())
        return records[0].get(name) if len(records) == 1 else None

    def facts(self) -> Iterator[tuple[str, Scalar]]:
        """Every field and value that may be said: of records, and of committed acts."""
        for records in self._seen.values():
            for record in records:
                yield from record.items()
        for outcome in self._outcomes.values():
            if outcome.state == "committed":
                yield from outcome.answer.items()
