"""The database's errors, as this package's callers know them."""

from services.common.postgres import StoreError, typed_errors

__all__ = ["StoreError", "typed_errors"]
