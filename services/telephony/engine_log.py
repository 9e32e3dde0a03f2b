"""baresip's own log lines, made safe: they quote SIP URIs, names and numbers, and their authors do not know our rule.

What remains is the area and the plain lower-case words of the line ("call: could not connect"); everything that
could be a value is replaced by an ellipsis.
"""

import contextlib
import faulthandler
import io
import logging
import os
import re
import sys
import threading
from typing import Final

from services.common.log import get_logger

log = get_logger(__name__)

_WORD: Final = re.compile(r"[a-z][a-z_\-]{0,24}[.,:;!]?|[A-Z]{2,8}|\([a-z ]{1,40}\)")
_QUOTED: Final = re.compile(r"\"[^\"]*\"|'[^']*'|<[^>]*>")
_MAX_CHARS: Final = 160
_MAX_LINE: Final = 4096
_USUAL: Final = ("unhandled ", "sip: ")


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


def capture_stderr() -> None:
    """Put a filter between the native stack and standard error.

    libre prints requests it does not handle straight to file descriptor 2, with their URIs. From now on descriptor
    2 is a pipe read here; Python's own standard error and the handlers that write to it keep the real one. The
    pipe never blocks the stack: what does not fit is lost. Once per process.
    """
    old = sys.stderr
    real = os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    os.dup2(write_end, 2)
    os.close(write_end)
    sys.stderr = real
    faulthandler.enable(real)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is old:
            handler.setStream(real)
    threading.Thread(target=_filter_lines, args=(read_end,), name="stderr-filter", daemon=True).start()


def _filter_lines(read_end: int) -> None:
    with os.fdopen(read_end, "rb", buffering=0) as raw, io.BufferedReader(raw) as lines:
        while line := lines.readline(_MAX_LINE):
            # A log handler that fails must not end the filter: the pipe would fill with what must not be seen.
            with contextlib.suppress(OSError, ValueError):
                text = line.decode("utf-8", "replace")
                # What scanners provoke by the thousand is no news; the last words of a dying process are.
                say = log.debug if text.startswith(_USUAL) else log.warning
                say("sip engine notice", said=words_only(text))
