"""What the engine says must not reach a log with a number, a name or an address in it; what it is told must be sane."""

import logging

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import SettingsError, UnavailableError
from services.common.settings import SipSettings, TelephonySettings
from services.pb.trunkline.telephony.v1 import telephony_pb2 as pb
from services.telephony import baresip_config as conf
from services.telephony.dial import dial_problem
from services.telephony.engine_log import EngineLogHandler, words_only
from services.telephony.sip_port import advertised_host, free_sip_port


@pytest.mark.parametrize(
    "line",
    [
        "call: invalid uri sip:+4930123456@trunk.example",
        'ua: call from "Erika Mustermann" <sip:erika@example.com> rejected',
        "call finished: 3s peer=tel:+49-30-123456",
        "sip: 10.1.2.3:5060 unreachable",
        "INVITE sip:1001@x SIP/2.0",
    ],
)
def test_a_line_of_the_engine_keeps_its_words_and_loses_its_values(line: str):
    said = words_only(line)
    for secret in ("4930123456", "Erika", "Mustermann", "erika@", "123456", "10.1.2.3", "1001"):
        assert secret not in said


@given(st.text(max_size=300))
def test_no_digit_ever_passes(line: str):
    assert not any(ch.isdigit() or ch == "@" for ch in words_only(line))


def test_a_record_becomes_one_constant_event():
    with structlog.testing.capture_logs() as logs:
        handler = EngineLogHandler()
        handler.emit(
            logging.LogRecord("baresip.native", logging.ERROR, "", 1, "call: %s gone", ("sip:+49301@x",), None)
        )
    assert [(entry["event"], entry["said"]) for entry in logs] == [("sip engine error", "call: … gone")]


@pytest.mark.parametrize(
    "dial",
    [
        pb.Dial(target_uri=""),
        pb.Dial(target_uri="tel:+4930"),
        pb.Dial(target_uri="sip:a b@c"),
        pb.Dial(target_uri="sip:a@b\r\nX-Evil: 1"),
        pb.Dial(target_uri="sip:a@b", headers={"X Y": "1"}),
        pb.Dial(target_uri="sip:a@b", headers={"X": "1\r\nVia: evil"}),
        pb.Dial(target_uri="sip:" + "a" * 600),
        pb.Dial(target_uri="sip:a@b", headers={f"X-{n}": "1" for n in range(20)}),
    ],
)
def test_a_dial_that_could_smuggle_anything_is_refused_without_repeating_it(dial: pb.Dial):
    problem = dial_problem(dial)
    assert problem
    assert "evil" not in problem.lower()


def test_a_good_dial_is_no_problem():
    assert dial_problem(pb.Dial(target_uri=" sip:+4930@trunk.example ", headers={"X-Tenant": "acme"})) == ""


def test_the_must_dos_of_the_engine_are_in_its_configuration():
    text = conf.config_text(TelephonySettings(jitter_buffer="adaptive", jitter_buffer_ms=(0, 60)), 5060)
    for line in (
        "sip_listen 127.0.0.1:5060",
        "audio_jitter_buffer_type adaptive",
        "audio_jitter_buffer_ms 0-60",
        "call_hold_other_calls no",
        "opus_stereo no",
    ):
        assert line in text.splitlines()
    account = conf.account_line(SipSettings(), "127.0.0.1:5060")
    assert {"video_codecs=none", "catchall=yes"} <= set(account.extra)
    assert account.reg_interval_s == 0


def test_a_registrar_makes_the_account_register_with_its_own_domain():
    account = conf.account_line(SipSettings(registrar="sip:pbx.example.com", srtp="sdes"), "127.0.0.1:5060")
    assert (account.domain, account.reg_interval_s) == ("pbx.example.com", 300)
    assert "mediaenc=srtp-mand" in account.extra


def test_tls_without_files_to_verify_with_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="ca_file"):
        conf.validate(SipSettings(transport="tls"))
    pem = tmp_path / "cert.pem"
    with pytest.raises(SettingsError, match="no such file"):
        conf.validate(SipSettings(transport="tls", cert_file=pem, ca_file=pem))
    pem.write_text("x")
    conf.validate(SipSettings(transport="tls", cert_file=pem, ca_file=pem))


def test_tls_is_listened_for_on_the_port_that_was_asked_for(tmp_path):
    pem = tmp_path / "cert.pem"
    pem.write_text("x")
    sip = SipSettings(transport="tls", cert_file=pem, ca_file=pem, port=5061)
    text = conf.config_text(TelephonySettings(sip=sip), 5061)
    # The stack adds one for TLS.
    assert "sip_listen 127.0.0.1:5060" in text.splitlines()
    assert "sip_transports tls" in text.splitlines()
    assert f"sip_cafile {pem}" in text.splitlines()


def test_a_password_file_is_read_and_never_quoted_in_an_error(tmp_path):
    path = tmp_path / "password"
    path.write_text("s3cret\n")
    assert conf.read_password(path) == "s3cret"
    path.write_text('s3"cret\n')
    with pytest.raises(SettingsError) as caught:
        conf.read_password(path)
    assert "s3" not in str(caught.value)
    with pytest.raises(SettingsError):
        conf.read_password(tmp_path / "absent")


@pytest.mark.parametrize(
    ("rate", "allowed", "name"),
    [
        (48_000, ("opus", "pcmu"), "opus"),
        (16_000, ("g722",), "g722"),
        (8000, ("pcmu", "pcma"), "g711"),
        (8000, ("pcma",), "pcma"),
    ],
)
def test_a_codec_is_told_by_its_rate(rate: int, allowed: tuple[str, ...], name: str):
    assert conf.codec_name(rate, allowed) == name


def test_a_dialled_uri_takes_the_trunks_transport_unless_it_names_one():
    assert conf.dial_uri("sip:a@b", "udp") == "sip:a@b"
    assert conf.dial_uri("sip:a@b", "tls") == "sip:a@b;transport=tls"
    assert conf.dial_uri("sip:a@b;transport=tcp", "tls") == "sip:a@b;transport=tcp"


def test_a_taken_sip_port_is_said():
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(UnavailableError, match=str(port)):
            free_sip_port("127.0.0.1", port, tls=False)
    assert free_sip_port("127.0.0.1", 0, tls=True) > 0


def test_a_wildcard_is_advertised_as_an_address_that_can_be_dialled():
    assert advertised_host("10.1.2.3") == "10.1.2.3"
    assert advertised_host("::1") == "[::1]"
    assert advertised_host("0.0.0.0") not in ("0.0.0.0", "")
