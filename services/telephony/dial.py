"""What a Dial may hold: one SIP URI and a few header lines that cannot smuggle others in."""

from typing import Final

from services.pb.trunkline.telephony.v1 import telephony_pb2 as pb

MAX_HEADERS: Final = 16
MAX_CHARS: Final = 512
_TOKEN: Final = frozenset("-_.!%*+~")


def dial_problem(dial: pb.Dial) -> str:
    """Why a Dial cannot be sent; "" when it can. The values themselves are never part of the text."""
    target = dial.target_uri.strip()
    if not target.lower().startswith(("sip:", "sips:")) or len(target) > MAX_CHARS:
        return "target_uri: expected a SIP URI of at most 512 characters"
    if any(ch.isspace() or ord(ch) < 0x20 or ch in '<>"' for ch in target):
        return "target_uri: expected no spaces, quotes or brackets"
    if len(dial.headers) > MAX_HEADERS:
        return f"headers: expected at most {MAX_HEADERS}, got {len(dial.headers)}"
    for name, value in dial.headers.items():
        if not name or not all(ch.isascii() and (ch.isalnum() or ch in _TOKEN) for ch in name):
            return "headers: a name is not a SIP token"
        if any(ord(ch) < 0x20 or ord(ch) == 0x7F for ch in value) or len(value) > MAX_CHARS:
            return "headers: a value holds control characters or is longer than 512"
    return ""
