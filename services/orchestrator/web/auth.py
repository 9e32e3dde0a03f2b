"""Who may read what: the operator's token opens everything, a call's own token opens that call."""

import contextlib
import hmac
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from aiohttp import web

from services.common.errors import SettingsError
from services.orchestrator.web.errors import HttpError

TOKEN_FILE = "operator.token"
_MIN_CHARS = 32


def load_operator_token(data_dir: Path) -> str:
    """Read `data_dir/operator.token`, or make it (mode 0600). Raises SettingsError when that cannot be done."""
    path = data_dir.expanduser() / TOKEN_FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if token := _kept(path):
            return token
        # Several workers may start at once: whole in a file of our own, then linked by whoever is first.
        fresh = path.with_name(f"{TOKEN_FILE}.{os.getpid()}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
        token = _kept(path)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"The operator token cannot be kept in {path} ({type(error).__name__}).",
            remedy="Make data_dir a directory this process may write.",
        ) from None
    return token


def _kept(path: Path) -> str:
    """The token of the file; "" when there is none, or one too short to be ours, which is removed."""
    if not path.exists():
        return ""
    path.chmod(0o600)
    token = path.read_text(encoding="ascii").strip()
    if len(token) >= _MIN_CHARS:
        return token
    path.unlink()
    return ""


class Access:
    """Checks tokens in constant time. Tokens of calls that nobody knows any more are dropped."""

    def __init__(self, operator_token: str, known: Callable[[str], bool]) -> None:
        self._operator_token = operator_token
        self._known = known
        self._calls: dict[str, str] = {}

    def issue(self, call_id: str) -> str:
        """A new token for one call."""
        for stale in [known for known in self._calls if not self._known(known)]:
            del self._calls[stale]
        token = secrets.token_urlsafe(32)
        self._calls[call_id] = token
        return token

    def require_operator(self, request: web.Request) -> None:
        """Raises HttpError 401 without the operator's token."""
        if not _same(_bearer(request), self._operator_token):
            raise _unauthorized()

    def require_call(self, request: web.Request, call_id: str) -> Literal["operator", "caller"]:
        """Whose token it is: the operator's or this call's, as a bearer or as `?token=` (a browser's WebSocket has no
        headers). Raises HttpError 401 for any other.
        """
        token = _bearer(request) or request.query.get("token", "")
        if _same(token, self._operator_token):
            return "operator"
        if _same(token, self._calls.get(call_id, "")):
            return "caller"
        raise _unauthorized()


def _bearer(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _same(given: str, expected: str) -> bool:
    return bool(expected) and hmac.compare_digest(given.encode(), expected.encode())


def _unauthorized() -> HttpError:
    return HttpError(
        401, "unauthorized", "A valid token is needed.", remedy=f"Send Authorization: Bearer <token of {TOKEN_FILE}>."
    )
