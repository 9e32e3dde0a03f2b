"""Reading an export line by line; what cannot be read is a finding with its line number. Pure."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from services.common.errors import InvalidInputError
from services.records.canonical import read_canonical
from services.records.entry import FIELDS
from services.records.findings import Report
from services.records.merkle import leaf_hash
from services.records.notes import Note

FORMAT = "trunkline-audit/1"


@dataclass(frozen=True, slots=True)
class ReadEntry:
    """An entry line: its place, the hash of its bytes, the hash that was recorded, and what it says."""

    index: int
    hash: bytes
    recorded: str
    body: dict[str, Any]
    # Exactly as the log writes entries: the fields, their order, no spaces.
    exact: bool
    openings: dict[str, Any]
    proof: tuple[bytes, ...]


def read_export(lines: Iterable[str], report: Report) -> tuple[list[ReadEntry], list[Note]]:
    """Entries and checkpoints in the order of the file. Raises InvalidInputError when line 1 is no export's header."""
    reader = _Reader(report)
    for number, line in enumerate(lines, 1):
        if number == 1:
            reader.header(line)
        elif line.strip():
            reader.read(number, line)
    if not reader.ended:
        report.find("unreadable", "The file has no last line: it was cut off. Export it again.")
    return reader.entries, reader.notes


class _Reader:
    def __init__(self, report: Report) -> None:
        self.entries: list[ReadEntry] = []
        self.notes: list[Note] = []
        self.ended = False
        self._report = report

    def header(self, line: str) -> None:
        try:
            row = json.loads(line)
            known = row["type"] == "header" and row["format"] == FORMAT
            self._report.origin, self._report.excerpt = str(row["origin"]), row["excerpt"] is True
            if newer := int(row.get("newer", 0)):
                self._report.notes.append(
                    f"{newer} newer entries of this call are left out: no checkpoint holds them yet."
                )
        except (ValueError, KeyError, TypeError):
            known = False
        if not known:
            raise InvalidInputError(
                "export",
                expected=f"a header of {FORMAT} in line 1",
                got="something else",
                remedy="Give the file that `trunkline audit export` wrote.",
            )

    def read(self, number: int, line: str) -> None:
        try:
            self._take(json.loads(line))
        except InvalidInputError as error:
            self._report.find("unreadable", f"Line {number}: {error.message}")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self._report.find("unreadable", f"Line {number} is no line of an export ({type(error).__name__}).")

    def _take(self, row: dict[str, Any]) -> None:
        self.ended = row["type"] == "end"
        if row["type"] == "entry":
            self.entries.append(_entry(row))
        elif row["type"] == "checkpoint":
            self.notes.append(Note.parse(row["note"]))
        elif self.ended and (row["entries"], row["checkpoints"]) != (len(self.entries), len(self.notes)):
            said = f"{row['entries']} entries and {row['checkpoints']} checkpoints"
            there = f"{len(self.entries)} and {len(self.notes)}"
            self._report.find("unreadable", f"The file says that it holds {said}; {there} are there.")


def _entry(row: dict[str, Any]) -> ReadEntry:
    raw: bytes = row["entry"].encode("utf-8")
    body: Any = {}
    try:
        body, exact = read_canonical(raw)
        exact = exact and isinstance(body, dict) and body.keys() == FIELDS
    except ValueError:
        exact = False
    return ReadEntry(
        index=int(row["index"]),
        hash=leaf_hash(raw),
        recorded=str(row.get("leaf", "")),
        body=body if isinstance(body, dict) else {},
        exact=exact and isinstance(body["personal"], dict),
        openings=dict(row.get("personal", {})),
        proof=tuple(bytes.fromhex(step) for step in row.get("proof", [])),
    )
