"""Labelled utterances (benchmarks/data/understanding), and what an outcome is worth."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

DATA: Final = Path(__file__).resolve().parents[1] / "data" / "understanding"
Half = Literal["tuning", "held-out"]
Worth = Literal["right", "wrong_action", "needless_clarification", "missed_clarification", "not_understood"]
WORTHS: Final[tuple[Worth, ...]] = (
    "right",
    "wrong_action",
    "needless_clarification",
    "missed_clarification",
    "not_understood",
)


@dataclass(frozen=True, slots=True)
class Case:
    """`want`: the goal; several: it may be either; none: out of scope, or nothing to go by."""

    bundle: str
    locale: str
    want: tuple[str, ...]
    words: str


def load(half: Half) -> list[Case]:
    """In the order of the file."""
    rows = [line.split("\t") for line in (DATA / f"{half}.tsv").read_text("utf-8").splitlines() if line[:1] != "#"]
    return [Case(b, locale, tuple(x for x in want.split("|") if x != "none"), words) for b, locale, want, words in rows]


def worth(want: Collection[str], started: Sequence[str], asked: Sequence[str]) -> Worth:
    """`started`: goals that would be acted upon; `asked`: those between which the caller would be asked."""
    if set(started) - set(want):
        return "wrong_action"
    if started:
        return "right" if len(want) == 1 or set(started) == set(want) else "missed_clarification"
    if asked:
        return "right" if len(want) > 1 and set(asked) & set(want) else "needless_clarification"
    return "not_understood" if want else "right"
