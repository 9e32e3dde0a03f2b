"""One value, one text: canonical JSON as in RFC 8785, without floating-point numbers. Pure.

Keys are sorted by their UTF-16 code units, no white space, the shortest escapes, UTF-8. Numbers are whole and within
±(2**53 - 1), so every JSON reader gets the same value; amounts and probabilities are written as text.
"""

import json
import re
from typing import Any, NoReturn

from services.common.errors import InvalidInputError

MAX_INTEGER = 2**53 - 1
_SURROGATE = re.compile("[\ud800-\udfff]")


def canonical(value: Any, where: str = "value") -> bytes:
    """The only encoding of `value`. Raises InvalidInputError naming the place of what cannot be encoded."""
    return _text(value, where).encode("utf-8")


def read_canonical(raw: bytes) -> tuple[Any, bool]:
    """The value of a JSON text, and whether the text is its canonical one. Raises ValueError for what is no JSON."""
    text = raw.decode("utf-8")
    plain = (text.isascii() or max(text) < "\U00010000") and "\\u0000" not in text
    if plain:
        try:
            value = json.loads(text, parse_float=_refuse, parse_constant=_refuse, parse_int=_integer)
        except _NotCanonicalError:
            return json.loads(text), False
        # Without astral characters the fast encoder sorts and escapes the same way.
        quick = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return value, quick == text
    value = json.loads(text)
    try:
        return value, canonical(value) == raw
    except InvalidInputError:
        return value, False


class _NotCanonicalError(Exception):
    """A number that canonical JSON does not hold."""


def _refuse(_text: str) -> NoReturn:
    raise _NotCanonicalError


def _integer(text: str) -> int:
    if len(text) > 17 or abs(value := int(text)) > MAX_INTEGER:
        raise _NotCanonicalError
    return value


def _text(value: Any, where: str) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise InvalidInputError(where, expected="a whole number within 2**53", got="a larger one", remedy=_AS_TEXT)
        return str(value)
    if isinstance(value, str):
        # NUL is JSON, but PostgreSQL takes it in no text.
        if "\0" in value or _SURROGATE.search(value):
            raise InvalidInputError(where, expected="Unicode text", got="NUL or a lone surrogate")
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | tuple):
        return "[" + ",".join(_text(item, f"{where}[{n}]") for n, item in enumerate(value)) + "]"
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise InvalidInputError(where, expected="text as key", got=type(key).__name__)
        pairs = sorted(value.items(), key=lambda pair: pair[0].encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(f"{_text(key, where)}:{_text(item, f'{where}.{key}')}" for key, item in pairs) + "}"
    raise InvalidInputError(
        where,
        expected="text, a whole number, true, false, null, a list or a mapping of these",
        got=type(value).__name__,
        remedy=_AS_TEXT,
    )


_AS_TEXT = "Write it as text."
