"""Driver errors as ours. Messages of the server never pass: their DETAIL quotes the row, which is personal data."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from services.common.errors import TrunklineError, UnavailableError

# The connection, the server or its resources: the same statement may succeed later.
_TRANSIENT = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # The driver's own state machine when the server dies between two of its messages.
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.CannotConnectNowError,
    asyncpg.TransactionRollbackError,
    asyncpg.ReadOnlySQLTransactionError,
)
# Raised by our own SQL, whose sentences are constants.
OUR_SQLSTATE = "TL001"


class StoreError(TrunklineError):
    """The database refused a statement; trying again would not help. Names the SQLSTATE, never the values."""


@contextmanager
def typed_errors(doing: str) -> Iterator[None]:
    """Raises UnavailableError when trying again later may help, StoreError when it will not."""
    try:
        yield
    except _TRANSIENT as error:
        raise UnavailableError(
            f"The database did not answer while {doing} ({_name(error)}).", remedy="Check database.dsn and its server."
        ) from None
    except asyncpg.PostgresError as error:
        said = str(error) if getattr(error, "sqlstate", None) == OUR_SQLSTATE else ""
        raise StoreError(f"The database refused {doing} ({_name(error)}).", remedy=said) from None


def _name(error: BaseException) -> str:
    state = getattr(error, "sqlstate", None)
    return f"{type(error).__name__} {state}" if state else type(error).__name__
