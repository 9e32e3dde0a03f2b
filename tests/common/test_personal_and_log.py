"""Personal data renders as a placeholder everywhere text is made of it."""

import io
import json
import logging
import pickle

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from services.common.log import configure_logging, get_logger, scrub
from services.common.personal import Personal
from services.common.settings import LogSettings


@given(
    st.text(min_size=3, alphabet=st.characters(categories=["L", "Nd"])).filter(
        lambda s: s not in "‹personal 0123456789›"
    )
)
def test_a_personal_value_never_shows_in_any_rendering(secret):
    value = Personal(secret)
    for text in (str(value), repr(value), f"{value}", f"{value!r:>40}", str([value]), str({"a": value})):
        assert secret not in text
    assert value.reveal() == secret


def test_a_personal_value_is_not_pickled():
    with pytest.raises(TypeError, match="reveal"):
        pickle.dumps(Personal("x"))


@pytest.fixture
def log_output():
    stream = io.StringIO()
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    configure_logging(LogSettings(level="info", format="json"), "test")
    root.handlers[0].setStream(stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


def test_log_lines_are_json_with_typed_fields_and_placeholders(log_output):
    get_logger("services.test").info("call started", caller=Personal("sip:+4930123456@x", "uri"), ms=12.5)
    line = json.loads(log_output.getvalue())
    assert line["event"] == "call started"
    assert line["ms"] == 12.5
    assert line["service"] == "test"
    assert line["caller"] == "‹uri 17›"


def test_lines_of_foreign_libraries_are_scrubbed_of_uris_and_numbers(log_output):
    logging.getLogger("aiortc").warning("INVITE from sip:+4930123456@host.example failed, called +49 30 123456")
    assert "123456" not in log_output.getvalue()
    assert "‹uri›" in log_output.getvalue()


def test_scrub_leaves_ordinary_text_alone():
    assert scrub("port 5060 in use after 12 ms") == "port 5060 in use after 12 ms"
