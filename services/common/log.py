"""structlog for every process: constant event names, typed fields, JSON for machines or console for people.

Personal data renders as a placeholder by its own type. Lines of foreign libraries come through the standard
logging module and are scrubbed of SIP URIs and long digit runs, because their authors do not know our rule.
"""

import logging
import re
import sys
from typing import Any, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from services.common.settings import LogSettings

_URI = re.compile(r"\b(?:sips?|tel):[^\s>;,\"']+", re.IGNORECASE)
_DIGITS = re.compile(r"\+?\d[\d\-. ]{5,}\d")


def scrub(text: str) -> str:
    """Replace SIP and tel URIs and runs of seven or more digits by placeholders."""
    return _DIGITS.sub("‹number›", _URI.sub("‹uri›", text))


def _scrub_foreign(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    message = event.get("event")
    if isinstance(message, str):
        event["event"] = scrub(message)
    return event


def configure_logging(settings: LogSettings, service: str) -> None:
    """Send structlog and the standard logging module to standard error; call once per process."""
    level = getattr(logging, settings.level.upper())

    def add_service(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("service", service)
        return event

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        add_service,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer(default=str, ensure_ascii=False)
        if settings.format == "json"
        # Plain: where rich is installed, structlog's own choice prints every local variable, callers' words included.
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    formatters: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if settings.format == "json":
        formatters.append(structlog.processors.format_exc_info)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _scrub_foreign], processors=[*formatters, renderer]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Foreign libraries speak from warnings on: their info lines are not ours to vouch for.
    root.setLevel(max(level, logging.WARNING))
    logging.getLogger("services").setLevel(level)


def get_logger(name: str) -> FilteringBoundLogger:
    """A bound logger; `name` is the module's `__name__`."""
    return cast("FilteringBoundLogger", structlog.get_logger(name))
