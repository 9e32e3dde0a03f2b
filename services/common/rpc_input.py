"""Bytes that are no message of the contract become an InvalidInputError, not a crash inside the handler.

gRPC deserialises before any interceptor of ours runs, so the failure is carried as a value to where errors are typed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from services.common.errors import InvalidInputError


@dataclass(frozen=True)
class _Malformed:
    """Stands for a request that could not be read."""

    size: int

    def refusal(self) -> InvalidInputError:
        return InvalidInputError(
            "message", expected="a protobuf of this method's contract", got=f"{self.size} bytes that are none"
        )


def tolerant(deserialise: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
    """A deserialiser that returns a marker, which `checked` refuses, where `deserialise` would raise."""
    if deserialise is None:
        return None

    def read(data: bytes) -> Any:
        try:
            return deserialise(data)
        except DecodeError:
            return _Malformed(len(data))

    return read


def checked(request: Any) -> Any:
    """The request, or the stream of requests, as the handler shall see it. Raises InvalidInputError."""
    if isinstance(request, _Malformed):
        raise request.refusal()
    return _CheckedStream(request) if hasattr(request, "__aiter__") else request


class _CheckedStream:
    """Raises InvalidInputError at the first message that is none; those before it were handled."""

    def __init__(self, requests: Any) -> None:
        self._requests = requests.__aiter__()

    def __aiter__(self) -> "_CheckedStream":
        return self

    async def __anext__(self) -> Any:
        request = await self._requests.__anext__()
        if isinstance(request, _Malformed):
            raise request.refusal()
        return request
