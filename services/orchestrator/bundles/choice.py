"""Which version of an agent a new call gets: the label's, or the canary's for a stated share of calls. Pure."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Release:
    """Where a label points. `canary_percent` of new calls get `canary` instead."""

    agent: str
    label: str
    digest: str
    canary: str | None = None
    canary_percent: int = 0


def choose(release: Release, call_id: str) -> str:
    """The digest for this call; the same call always gets the same one, and a larger share contains a smaller."""
    if release.canary is None or release.canary_percent <= 0:
        return release.digest
    point = int.from_bytes(hashlib.sha256(f"{release.agent} {release.label} {call_id}".encode()).digest()[:8], "big")
    return release.canary if point % 10_000 < release.canary_percent * 100 else release.digest
