"""The result of a run as a document: gates, trends, and every conversation that failed, to read and compare. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from services.cli.evals.gates import GATES, Findings
from services.cli.evals.transcript import Transcript
from services.cli.evals.trends import Trends

SCHEMA = "trunkline-eval/1"
# So many failed conversations are kept whole; all are counted.
KEPT = 60


@dataclass(frozen=True, slots=True)
class Played:
    """One conversation and what the gates found."""

    name: str
    run: int
    findings: Findings
    transcript: Transcript
    expected: dict[str, Any]
    came: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """What was expected, what came, and every word."""
        over = self.transcript.over
        return {
            "name": self.name,
            "run": self.run,
            "locale": self.transcript.locale,
            "findings": self.findings.to_json(),
            "expected": self.expected,
            "came": self.came,
            "ended": {"how": over.how, "reason": over.reason, "route": over.route, "turns": over.turns},
            "planted": list(self.transcript.planted),
            "transcript": [one.to_json() for one in self.transcript.spoken],
        }


@dataclass(slots=True)
class Run:
    """What accumulates over a run."""

    trends: Trends = field(default_factory=Trends)
    played: int = 0
    matched: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    failed: list[Played] = field(default_factory=list)
    planted: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    acts: Counter[str] = field(default_factory=Counter)
    by_name: dict[str, list[bool]] = field(default_factory=dict)
    audit: list[str] = field(default_factory=list)

    def add(self, one: Played) -> None:
        """Count one conversation; keep it when it failed."""
        self.played += 1
        self.matched += not one.findings.end_state
        for gate in GATES:
            self.counts[gate] += len(getattr(one.findings, gate, ()))
        self.planted.update(one.transcript.planted)
        self.by_name.setdefault(one.name, []).append(one.findings.ok)
        if not one.findings.ok:
            self.failed.append(one)

    def gates(self) -> dict[str, float | int]:
        """The hard gates."""
        counts = {gate: self.counts[gate] for gate in GATES}
        counts["audit_failures"] = len(self.audit)
        return {"end_state_match": round(self.matched / self.played, 6) if self.played else 0.0, **counts}

    @property
    def ok(self) -> bool:
        """All gates hold."""
        return holds(self.gates())

    def to_json(self, facts: dict[str, Any]) -> dict[str, Any]:
        """The document; `facts` is what is known beside (bundle, seed, machine)."""
        return {
            "schema": SCHEMA,
            "ok": self.ok,
            "gates": self.gates(),
            "trends": self.trends.to_json(),
            **facts,
            "conversations": self.played,
            "acts_in_the_books": dict(sorted(self.acts.items())),
            "faults_met": dict(sorted(self.faults.items())),
            "planted_by_the_scripted_proposer": dict(sorted(self.planted.items())),
            "audit": list(self.audit),
            "scenarios": {
                name: {"runs": len(runs), "passed": sum(runs)} for name, runs in sorted(self.by_name.items())
            },
            "failed": [one.to_json() for one in self.failed[:KEPT]],
            "failed_count": len(self.failed),
        }


def holds(gates: dict[str, float | int]) -> bool:
    """Whether gates of a document hold."""
    return gates["end_state_match"] == 1.0 and not any(gates[gate] for gate in GATES)


def sentences(findings: Sequence[str], most: int = 3) -> str:
    """The first few, for a table."""
    more = f" (+{len(findings) - most})" if len(findings) > most else ""
    return " ".join(findings[:most]) + more
