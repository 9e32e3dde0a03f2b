"""A test that ran a command in this process leaves no logging behind: a command configures it for its own process."""

import logging
import sys
from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """structlog, the root's handlers and the levels; and loggers that were made while it was otherwise."""
    loggers = logging.getLogger(), logging.getLogger("services")
    before = structlog.is_configured(), structlog.get_config(), list(loggers[0].handlers)
    levels = [logger.level for logger in loggers]
    yield
    configured, config, handlers = before
    if structlog.get_config() == config and loggers[0].handlers == handlers:
        return
    structlog.configure(**config) if configured else structlog.reset_defaults()
    loggers[0].handlers[:] = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
    forget_bound_loggers()


def forget_bound_loggers() -> None:
    """A module's logger keeps what was configured at its first line (cache_logger_on_first_use), for good."""
    proxy = type(structlog.get_logger())
    for name, module in list(sys.modules.items()):
        if name.startswith(("services", "tests")):
            for logger in [value for value in vars(module).values() if isinstance(value, proxy)]:
                vars(logger).pop("bind", None)
