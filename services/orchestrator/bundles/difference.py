"""What differs between two bundles, part by part: what a reviewer reads before a release. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from services.orchestrator.bundles.bundle import Bundle

Change = Literal["added", "removed", "changed"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One part: dotted path, and its two values (None where it is not)."""

    path: str
    change: Change
    before: Any
    after: Any

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {"path": self.path, "change": self.change, "before": self.before, "after": self.after}


def differences(before: Bundle, after: Bundle) -> list[Difference]:
    """Every leaf that differs, in order of path."""
    return sorted(_compare("", _plain(before), _plain(after)), key=lambda difference: difference.path)


def _plain(bundle: Bundle) -> dict[str, Any]:
    return {
        "agent": bundle.agent.model_dump(mode="json"),
        "tools": _dump(bundle.tools),
        "rules": {rule.id: rule.model_dump(mode="json") for rule in bundle.rules},
        "slots": _dump(bundle.slots),
        "goals": _dump(bundle.goals),
        "prompts": {locale: _dump(prompts) for locale, prompts in bundle.prompts.items()},
        "files": {name: text for name, text in bundle.files.items() if name.startswith(("openapi/", "evals/"))},
    }


def _dump(parts: Mapping[str, BaseModel]) -> dict[str, Any]:
    return {name: part.model_dump(mode="json") for name, part in parts.items()}


def _compare(path: str, before: Any, after: Any) -> Iterator[Difference]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            inner = f"{path}.{key}" if path else str(key)
            if key not in before:
                yield Difference(inner, "added", None, after[key])
            elif key not in after:
                yield Difference(inner, "removed", before[key], None)
            else:
                yield from _compare(inner, before[key], after[key])
    elif before != after:
        yield Difference(path, "changed", before, after)
