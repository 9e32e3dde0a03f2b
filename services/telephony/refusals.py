"""How an INVITE is refused: status, reason phrase, and when to try again (RFC 3261 20.33, 21.4-21.6)."""

from dataclasses import dataclass
from typing import Final

BUSY_HERE: Final = 486
SERVICE_UNAVAILABLE: Final = 503

_PHRASES: Final = {
    403: "Forbidden",
    404: "Not Found",
    480: "Temporarily Unavailable",
    BUSY_HERE: "Busy Here",
    488: "Not Acceptable Here",
    500: "Server Internal Error",
    SERVICE_UNAVAILABLE: "Service Unavailable",
    600: "Busy Everywhere",
    603: "Decline",
}
# A day: what is longer is not meant for a caller.
MAX_RETRY_AFTER_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Refused:
    """One refusal. Raises ValueError for what is no final error response."""

    sip_status: int = BUSY_HERE
    # 0: no Retry-After.
    retry_after_s: int = 0

    def __post_init__(self) -> None:
        if not 400 <= self.sip_status <= 699:
            raise ValueError(f"sip_status: expected 400 to 699, got {self.sip_status}")
        if not 0 <= self.retry_after_s <= MAX_RETRY_AFTER_S:
            raise ValueError(f"retry_after_s: expected 0 to {MAX_RETRY_AFTER_S}, got {self.retry_after_s}")

    @property
    def phrase(self) -> str:
        """The reason phrase of RFC 3261, or a plain one."""
        return _PHRASES.get(self.sip_status, "Rejected")

    def header_lines(self) -> str:
        """What follows the stack's own headers on the wire, to the end of the message: a refusal has no body."""
        retry = f"Retry-After: {self.retry_after_s}\r\n" if self.retry_after_s else ""
        return f"{retry}Content-Length: 0\r\n\r\n"


BUSY: Final = Refused()
UNAVAILABLE: Final = Refused(SERVICE_UNAVAILABLE)
