"""Sentences with places for committed values: `{block_card.reference|spell}`. Parsed at publish, filled in a call.

Only names and filters: no expressions, no attribute access, no format specs, so a template can do nothing else.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

FILTERS = frozenset({"money", "date", "time", "spell", "digits", "number", "last4"})
_PLACE = re.compile(r"\{([^{}]*)\}")
_NAME = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)*")


@dataclass(frozen=True, slots=True)
class Hole:
    """One place: the dotted name, the filter (empty: none), and where it stands in the text."""

    name: str
    filter: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class TemplateFault:
    """What is wrong at `start`."""

    message: str
    start: int


def holes(text: str) -> Iterator[Hole | TemplateFault]:
    """All places in order; faults where a brace or a filter is wrong."""
    position = 0
    for match in _PLACE.finditer(text):
        yield from _strays(text, position, match.start())
        position = match.end()
        name, bar, filter_ = match[1].partition("|")
        name, filter_ = name.strip(), filter_.strip()
        if not _NAME.fullmatch(name):
            yield TemplateFault(f"{{{match[1]}}} is not a name like {{tool.field}} or {{slot.name}}", match.start())
        elif bar and filter_ not in FILTERS:
            yield TemplateFault(f"unknown filter {filter_!r}; there are {', '.join(sorted(FILTERS))}", match.start())
        else:
            yield Hole(name, filter_, match.start(), match.end())
    yield from _strays(text, position, len(text))


def fill(text: str, value: Callable[[str, str], str]) -> str:
    """The sentence, `value(name, filter)` in each place. The text must have been checked at publish."""
    return _PLACE.sub(lambda match: value(*_split(match[1])), text)


def _split(inner: str) -> tuple[str, str]:
    name, _, filter_ = inner.partition("|")
    return name.strip(), filter_.strip()


def _strays(text: str, start: int, end: int) -> Iterator[TemplateFault]:
    for index in range(start, end):
        if text[index] in "{}":
            yield TemplateFault(f"a stray {text[index]!r}: places are written {{tool.field}}", index)
            return
