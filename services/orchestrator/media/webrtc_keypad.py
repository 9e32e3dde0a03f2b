"""Keys of the page's keypad: aiortc knows no RFC 4733, so a digit comes as `{"dtmf": "5"}` on the data channel."""

import contextlib
import json

from services.common.personal import Personal

# A key on a page has no duration; this is a telephone's usual one.
KEY_MS = 100
_KEYS = frozenset("0123456789*#ABCD")
_MAX_CHARS = 64


def parse_key(message: object) -> Personal[str] | None:
    """The digit of one message, or None for anything else."""
    if not isinstance(message, str) or len(message) > _MAX_CHARS:
        return None
    parsed: object = None
    with contextlib.suppress(ValueError, RecursionError):
        parsed = json.loads(message)
    digit = parsed.get("dtmf") if isinstance(parsed, dict) else None
    return Personal(digit, "digit") if isinstance(digit, str) and digit in _KEYS else None
