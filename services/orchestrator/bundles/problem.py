"""What is wrong with a bundle, and where: file, line, column, a code to look up, and what to do about it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in a file of the bundle; lines and columns count from 1."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One fault. `code` is stable (docs/bundles.md lists them)."""

    place: Place
    code: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.code} {self.message}" + (f" {self.remedy}" if self.remedy else "")

    def to_json(self) -> dict[str, str | int]:
        """For editors and CI."""
        return {
            "file": self.place.file,
            "line": self.place.line,
            "column": self.place.column,
            "code": self.code,
            "message": self.message,
            "remedy": self.remedy,
        }
