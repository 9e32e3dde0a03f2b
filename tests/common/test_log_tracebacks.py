"""A crash is logged with its stack, without the values that were being worked on."""

import io
import logging

import pytest
import structlog

from services.common.log import configure_logging, get_logger
from services.common.settings import LogSettings


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_traceback_shows_where_it_happened_and_no_local_variable(form):
    stream, root = io.StringIO(), logging.getLogger()
    before, level = root.handlers[:], root.level
    configure_logging(LogSettings(format=form), "test")
    root.handlers[0].setStream(stream)
    try:
        words = "my card number is " + "secret"
        raise ZeroDivisionError
    except ZeroDivisionError as error:
        get_logger("services.test").error("call crashed", error=type(error).__name__, exc_info=error)
    finally:
        root.handlers[:] = before
        root.setLevel(level)
        structlog.reset_defaults()
    shown = stream.getvalue()
    assert "ZeroDivisionError" in shown
    assert "test_log_tracebacks.py" in shown
    assert words not in shown
