"""What a verification found, for people and machines. Pure."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Kind = Literal[
    "unreadable",
    "edited",
    "removed",
    "moved",
    "chain_broken",
    "truncated",
    "rewritten",
    "fork",
    "not_included",
    "forged_checkpoint",
    "no_checkpoint",
    "unwitnessed",
    "personal_mismatch",
]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it must be. `index` is the first entry it concerns, `last` the last (None: no entry)."""

    kind: Kind
    message: str
    index: int | None = None
    last: int | None = None


@dataclass(slots=True)
class Report:
    """The result of `verify`. Sizes count entries from the beginning."""

    origin: str = ""
    excerpt: bool = False
    entries: int = 0
    first_at: str = ""
    last_at: str = ""
    checkpoints: int = 0
    signed_size: int = 0
    # Witness → (entries it signed for, POSIX seconds).
    witnessed: dict[str, tuple[int, int]] = field(default_factory=dict)
    commitments: int = 0
    opened: int = 0
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Nothing was found."""
        return not self.findings

    def find(self, kind: Kind, message: str, index: int | None = None, last: int | None = None) -> None:
        """Add a finding; `last` is `index` where only one entry is meant."""
        self.findings.append(Finding(kind, message, index, index if last is None else last))

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "ok": self.ok,
            "origin": self.origin,
            "excerpt": self.excerpt,
            "entries": self.entries,
            "first_at": self.first_at,
            "last_at": self.last_at,
            "checkpoints": self.checkpoints,
            "signed_size": self.signed_size,
            "witnessed": {
                name: {"size": size, "unix_s": unix_s} for name, (size, unix_s) in sorted(self.witnessed.items())
            },
            "commitments": self.commitments,
            "opened": self.opened,
            "findings": [asdict(finding) for finding in self.findings],
            "notes": self.notes,
        }
