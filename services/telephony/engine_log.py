"""baresip's own log lines, made safe: they quote SIP URIs, names and numbers, and their authors do not know our rule.

What remains is the area and the plain lower-case words of the line ("call: could not connect"); everything that
could be a value is replaced by an ellipsis.
"""

import logging
import re
from typing import Final

from services.common.log import get_logger

log = get_logger(__name__)

_WORD: Final = re.compile(r"[a-z][a-z_\-]{0,24}[.,:;!]?|[A-Z]{2,8}|\([a-z ]{1,40}\)")
_QUOTED: Final = re.compile(r"\"[^\"]*\"|'[^']*'|<[^>]*>")
_MAX_CHARS: Final = 160


def words_only(line: str) -> str:
    """The line with every token that is not a plain word replaced by "…"."""
    text = _QUOTED.sub("…", line.splitlines()[0] if line else "")
    tokens = [token if _WORD.fullmatch(token) else "…" for token in text.split()]
    out: list[str] = []
    for token in tokens:
        if token != "…" or not out or out[-1] != "…":
            out.append(token)
    return " ".join(out)[:_MAX_CHARS]


class EngineLogHandler(logging.Handler):
    """Takes the `baresip` logger over: nothing of it propagates to other handlers."""

    def emit(self, record: logging.LogRecord) -> None:
        """One constant event per line."""
        try:
            said = words_only(record.getMessage())
        except (TypeError, ValueError):
            said = "unreadable line"
        if record.levelno >= logging.ERROR:
            log.error("sip engine error", said=said)
        else:
            log.debug("sip engine notice", said=said)


def take_over() -> None:
    """Route the engine's Python and native loggers through the handler above, once per process."""
    logger = logging.getLogger("baresip")
    logger.handlers[:] = [EngineLogHandler()]
    logger.propagate = False
    logger.setLevel(logging.WARNING)
