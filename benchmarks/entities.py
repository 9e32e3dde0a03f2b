"""Accuracy of the locales' grammars per type, over utterances written by hand: `python -m benchmarks.entities --json`.

Reported is the held-out half, which grammars are not changed for (tests/data/entities says how it was made). A value is
right when the best reading is the one that is meant; where nothing is meant, when no reading would be heard (confidence
below `clarify`). `trusted_wrong` counts wrong values that would be taken without asking (at or above `accept`): that is
what hurts. n is small: a cell is a smoke test, the row of a locale a figure.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

from ruamel.yaml import YAML

from services.orchestrator.bundles.model import Slot
from services.orchestrator.dialogue.locales import pack

DATA = Path(__file__).parent.parent / "tests" / "data" / "entities"
LOCALES = ("en-GB", "de-DE")
Half = Literal["tune", "held"]


@dataclass
class Cell:
    """One type in one locale."""

    n: int = 0
    right: int = 0
    trusted_wrong: int = 0


@dataclass(frozen=True)
class Result:
    """One utterance: what was meant and what was read."""

    locale: str
    slot: str
    words: str
    wanted: Any
    got: Any
    confidence: float
    accept: float

    @property
    def right(self) -> bool:
        """The value that is meant, or nothing where nothing is."""
        return bool(self.wanted == self.got)


def results(half: Half, locales: tuple[str, ...] = LOCALES) -> Iterator[Result]:
    """Every utterance of a half, read."""
    common = load("common")
    slots = {name: Slot.model_validate({"ask": "p.ask", **fields}) for name, fields in common["slots"].items()}
    for locale in locales:
        for slot, words, wanted in load(locale)[half]:
            got, confidence = _read(locale, slots[slot], slot, words, common)
            yield Result(locale, slot, words, _plain(wanted), got, confidence, slots[slot].accept)


def cells(half: Half) -> dict[str, dict[str, Cell]]:
    """locale → type → counts; "all" is the locale."""
    table: dict[str, dict[str, Cell]] = defaultdict(lambda: defaultdict(Cell))
    for one in results(half):
        for name in (one.slot.rstrip("0123456789"), "all"):
            cell = table[one.locale][name]
            cell.n += 1
            cell.right += one.right
            cell.trusted_wrong += not one.right and one.got is not None and one.confidence >= one.accept
    return table


def _read(locale: str, slot: Slot, name: str, words: str, common: Mapping[str, Any]) -> tuple[Any, float]:
    options: dict[str, Any] = {"today": common["today"], "confusable": tuple(map(tuple, common["confusable"]))}
    if slot.type == "ref":
        records = common["records"][name]
        ranked = pack(locale).resolve(slot, words, records if name == "card" else records[locale], **options)
        told_apart = ranked and (len(ranked) == 1 or ranked[0][1] > ranked[1][1])
        return ranked[0] if told_apart else (None, 0.0)
    readings = [one for one in pack(locale).read(slot, words, **options) if one.confidence >= slot.clarify]
    return (_plain(readings[0].data.reveal()), readings[0].confidence) if readings else (None, 0.0)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return f"{value['minor']} {value['currency']}"
    return value.isoformat() if isinstance(value, date) else value


def load(name: str) -> Any:
    """One file of the utterances, as data."""
    return YAML(typ="safe").load((DATA / f"{name}.yaml").read_text("utf-8"))


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--half", choices=["tune", "held"], default="held")
    parser.add_argument("--wrong", action="store_true", help="list what is wrong (of the tuning half only)")
    given = parser.parse_args()
    table = cells(given.half)
    if given.json:
        plain = {locale: {name: asdict(cell) for name, cell in row.items()} for locale, row in table.items()}
        json.dump({"half": given.half, "cells": plain}, sys.stdout)
        sys.stdout.write("\n")
        return
    for locale, row in table.items():
        for name, cell in sorted(row.items()):
            sys.stdout.write(f"{locale} {name:<9} {cell.right:>3}/{cell.n:<3} trusted wrong {cell.trusted_wrong}\n")
    if given.wrong:
        for one in results("tune"):
            if not one.right:
                sys.stdout.write(
                    f"{one.locale} {one.slot} {one.words!r}: {one.wanted} but {one.got} {one.confidence}\n"
                )


if __name__ == "__main__":
    main()
