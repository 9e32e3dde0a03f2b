"""What a command configures for its own process is gone with the test that ran it, also in loggers it had used."""

import pytest

from services.common.log import configure_logging, get_logger
from services.common.settings import LogSettings

# As every module of ours has one.
log = get_logger(__name__)


def test_a_command_that_asks_for_errors_only_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LogSettings(level="error"), "test")
    log.info("a line that is not shown")
    shown = capsys.readouterr()
    assert "not shown" not in shown.out + shown.err


def test_after_it_the_same_logger_is_heard_again(capsys: pytest.CaptureFixture[str]) -> None:
    log.info("a line to see")
    shown = capsys.readouterr()
    assert "a line to see" in shown.out + shown.err
