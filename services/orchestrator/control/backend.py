"""One back end over HTTP, by its contract: paths, queries, bodies and answers come from the OpenAPI document.

The client is not written by hand: an operation says where each argument goes and what an answer must hold. What can go
wrong is told apart by what it means for a write: `unreached` (nothing was sent), `refused` (it said no, nothing was
done), `unclear` (it may have been done).
"""

import json
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote

import aiohttp

from services.common.clock import Clock
from services.common.deadline import deadline
from services.common.errors import TrunklineError
from services.orchestrator.bundles.contracts import IDEMPOTENCY_HEADER, Operation
from services.orchestrator.control.model import Scalar

MAX_ANSWER_BYTES = 256 * 1024
_KINDS: dict[str, tuple[type, ...]] = {"integer": (int,), "number": (int, float), "boolean": (bool,), "string": (str,)}
# The request was understood and turned down: doing it again changes nothing.
_UNCLEAR_CLIENT_STATUS = frozenset({408, 425, 429})


class BackEndError(TrunklineError):
    """A request did not succeed; `kind` says what that means."""

    def __init__(self, kind: Literal["unreached", "refused", "unclear"], reason: str, http_status: int = 0) -> None:
        self.kind = kind
        self.http_status = http_status
        super().__init__(f"The back end did not do it: {reason}.")


Answer = dict[str, Scalar]


class BackEnd:
    """Shared by all calls of a worker; one connection pool per base URL."""

    def __init__(self, base_url: str, http: aiohttp.ClientSession, clock: Clock) -> None:
        self._base = base_url.rstrip("/")
        self._http = http
        self._clock = clock

    async def one(self, operation: Operation, args: Mapping[str, Scalar], timeout_s: float, key: str = "") -> Answer:
        """The answer's fields. Raises BackEndError; a cancelled task cancels the request."""
        body = await self._request(operation, args, timeout_s, key)
        if not isinstance(body, dict):
            raise BackEndError("unclear", "its answer is not what the contract says")
        return _fields(operation, body)

    async def many(self, operation: Operation, args: Mapping[str, Scalar], timeout_s: float) -> list[Answer]:
        """The records of a list answer. Raises BackEndError."""
        body = await self._request(operation, args, timeout_s, "")
        if not isinstance(body, list):
            raise BackEndError("unclear", "its answer is not the list that the contract says")
        return [_fields(operation, row) for row in body]

    async def _request(self, operation: Operation, args: Mapping[str, Scalar], timeout_s: float, key: str) -> Any:
        if not self._base:
            raise BackEndError("unreached", "no back end is named for this agent (control.backends)")
        path = operation.path
        query: dict[str, str] = {}
        body: dict[str, Scalar] = {}
        for name, value in args.items():
            match operation.params[name].where:
                case "path":
                    path = path.replace("{" + name + "}", quote(str(value), safe=""))
                case "query":
                    query[name] = str(value)
                case _:
                    body[name] = value
        headers = {IDEMPOTENCY_HEADER: key} if key and operation.takes_idempotency_key else {}
        sending: dict[str, Any] = {"json": body} if body else {}
        try:
            async with (
                deadline(self._clock, timeout_s),
                self._http.request(
                    operation.method.upper(),
                    self._base + path,
                    params=query,
                    headers=headers,
                    allow_redirects=False,
                    **sending,
                ) as answer,
            ):
                return self._read(answer.status, await answer.content.read(MAX_ANSWER_BYTES + 1))
        except aiohttp.ClientConnectorError:
            raise BackEndError("unreached", "it cannot be reached") from None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise BackEndError("unclear", f"its answer did not come ({type(error).__name__})") from None

    @staticmethod
    def _read(status: int, raw: bytes) -> Any:
        if 200 <= status < 300:
            try:
                return json.loads(raw) if len(raw) <= MAX_ANSWER_BYTES else None
            except ValueError:
                raise BackEndError("unclear", "its answer is not JSON", status) from None
        if status == 409:
            raise BackEndError("refused", "the key was used for something else", status)
        if 400 <= status < 500 and status not in _UNCLEAR_CLIENT_STATUS:
            raise BackEndError("refused", f"it answered {status}", status)
        raise BackEndError("unclear", f"it answered {status}", status)


def _fields(operation: Operation, body: Any) -> Answer:
    """The contract's fields of an answer; what it does not name is dropped, what it requires must be there."""
    if not isinstance(body, Mapping):
        raise BackEndError("unclear", "its answer is not what the contract says")
    found: Answer = {}
    for name, field in operation.answer.items():
        value = body.get(name)
        kinds = _KINDS.get(field.type, (str,))
        right = isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
        if right and isinstance(value, str | int | float | bool):
            found[name] = value
        elif field.required or value is not None:
            raise BackEndError("unclear", f"its answer has no proper {name!r}")
    return found
