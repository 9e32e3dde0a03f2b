"""Hints for names that do not exist."""

from collections.abc import Iterable

from rapidfuzz import process as fuzzy


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint, when a known name is close; else the names there are."""
    names = list(known)
    found = fuzzy.extractOne(name, names, score_cutoff=60)
    if found:
        return f"Did you mean {found[0]!r}?"
    return f"There are: {', '.join(sorted(names)[:12])}." if names else "There are none."
