"""Typed errors: what was expected, what came and what to do; with the gRPC status each maps to.

A service raises these; `services.common.rpc_server` turns them into a status with details for the client, and
`services.common.rpc_client` turns the status back into the same type.
"""

import grpc


class TrunklineError(Exception):
    """Base of every error a person may read. `remedy` says what to do about it."""

    status = grpc.StatusCode.INTERNAL

    def __init__(self, message: str, *, remedy: str = "") -> None:
        self.message = message
        self.remedy = remedy
        super().__init__(f"{message} {remedy}".strip())


class InvalidInputError(TrunklineError):
    """A field that cannot be used. Names the field, what was expected and what came."""

    status = grpc.StatusCode.INVALID_ARGUMENT

    def __init__(self, field: str, *, expected: str, got: str, remedy: str = "") -> None:
        self.field = field
        super().__init__(f"{field}: expected {expected}, got {got}.", remedy=remedy)

    @classmethod
    def from_message(cls, field: str, message: str) -> "InvalidInputError":
        """The error as it came back over the wire, its sentence already made."""
        error = cls.__new__(cls)
        error.field = field
        TrunklineError.__init__(error, message)
        return error


class OverloadedError(TrunklineError):
    """The work would be late, so it is refused. Retry after `retry_after_s`."""

    status = grpc.StatusCode.RESOURCE_EXHAUSTED

    def __init__(self, what: str, *, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"{what} is at capacity.", remedy=f"Retry after {retry_after_s:.2f} s.")


class DeadlineError(TrunklineError):
    """An answer did not come in time."""

    status = grpc.StatusCode.DEADLINE_EXCEEDED


class UnavailableError(TrunklineError):
    """A service cannot be reached or is not ready."""

    status = grpc.StatusCode.UNAVAILABLE


class MissingModelError(TrunklineError):
    """A model file is missing or altered."""

    status = grpc.StatusCode.FAILED_PRECONDITION


class SettingsError(TrunklineError):
    """A setting that cannot be used; names the key, the nearest known key and the file."""

    status = grpc.StatusCode.FAILED_PRECONDITION
