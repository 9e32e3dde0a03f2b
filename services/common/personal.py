"""Personal data has its own type, which renders as a placeholder wherever text is made of it.

Wrap at the edge (`Personal(sip_uri)`), pass the wrapper through, and call `.reveal()` only where the value must
be used: on the wire, in the database, on the caller's own screen. Logs, labels, spans and errors made from a
`Personal` show what kind of thing it is and how long, never what it says.
"""

from typing import Generic, NoReturn, TypeVar

T = TypeVar("T")


class Personal(Generic[T]):
    """A value that must not reach a log, a metric label, a span or an error message."""

    __slots__ = ("_kind", "_value")

    def __init__(self, value: T, kind: str = "personal") -> None:
        self._value = value
        self._kind = kind

    def reveal(self) -> T:
        """The value itself: for the wire, the database and the model, never for a log."""
        return self._value

    def __str__(self) -> str:
        size = f" {len(self._value)}" if isinstance(self._value, str | bytes) else ""
        return f"‹{self._kind}{size}›"

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Personal) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("Personal data is not pickled; reveal() it where it must be stored")
