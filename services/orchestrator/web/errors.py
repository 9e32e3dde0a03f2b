"""Every HTTP error is the same typed JSON: `{"error": {"code", "message", "remedy"}}`."""

import math
from collections.abc import Awaitable, Callable

from aiohttp import web

from services.common.errors import (
    DeadlineError,
    InvalidInputError,
    OverloadedError,
    TrunklineError,
    UnavailableError,
)
from services.common.log import get_logger

log = get_logger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HttpError(TrunklineError):
    """An error that only HTTP has; `code` is for machines."""

    def __init__(
        self, http_status: int, code: str, message: str, *, remedy: str = "", retry_after_s: float = 0
    ) -> None:
        self.http_status = http_status
        self.code = code
        self.retry_after_s = retry_after_s
        super().__init__(message, remedy=remedy)


_STATUS: tuple[tuple[type[TrunklineError], int, str], ...] = (
    (InvalidInputError, 400, "invalid_input"),
    (OverloadedError, 503, "overloaded"),
    (UnavailableError, 503, "unavailable"),
    (DeadlineError, 504, "deadline"),
)


def to_response(error: TrunklineError) -> web.Response:
    """The response for any of our errors."""
    retry_after_s = 0.0
    if isinstance(error, HttpError):
        status, code, retry_after_s = error.http_status, error.code, error.retry_after_s
    else:
        status, code = next(((s, c) for kind, s, c in _STATUS if isinstance(error, kind)), (500, "internal"))
        if status == 503:
            retry_after_s = error.retry_after_s if isinstance(error, OverloadedError) else 5.0
    return json_error(status, code, error.message, error.remedy, retry_after_s)


def json_error(status: int, code: str, message: str, remedy: str = "", retry_after_s: float = 0) -> web.Response:
    """The one error body; `retry_after_s` > 0 becomes a Retry-After header."""
    headers = {"Retry-After": str(math.ceil(retry_after_s))} if retry_after_s > 0 else None
    body = {"error": {"code": code, "message": message, "remedy": remedy}}
    return web.json_response(body, status=status, headers=headers)


@web.middleware
async def typed_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever a handler raises into a typed answer; what nobody foresaw is a 500 and a line in the log."""
    try:
        return await handler(request)
    except TrunklineError as error:
        return to_response(error)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        code = error.reason.lower().replace(" ", "_")
        return json_error(error.status, code, f"{error.reason}.")
    except ConnectionResetError:
        raise
    except Exception as error:
        log.error("request failed", method=request.method, error=type(error).__name__, exc_info=error)
        return json_error(500, "internal", "The server failed.", "See its log.")
