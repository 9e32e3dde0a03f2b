"""The pure parts of the web room: rate limit, tokens, keypad."""

import ssl
import stat
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import SettingsError
from services.common.settings import WebRtcSettings, WebSettings
from services.orchestrator.media.webrtc_endpoint import ice_configuration
from services.orchestrator.media.webrtc_keypad import parse_key
from services.orchestrator.web.about import healthz
from services.orchestrator.web.auth import load_operator_token
from services.orchestrator.web.rate_limit import RateLimiter
from services.orchestrator.web.server import _tls, start_web
from tests.common.certificates import write_certificates

SECOND = 1_000_000_000


def test_a_burst_passes_and_then_the_rate_holds() -> None:
    limiter = RateLimiter(per_s=2.0, burst=3)
    assert [limiter.take("a", 0) for _ in range(3)] == [0, 0, 0]
    assert limiter.take("a", 0) == pytest.approx(0.5)
    assert limiter.take("b", 0) == 0
    assert limiter.take("a", SECOND // 2) == 0
    assert limiter.take("a", SECOND // 2) > 0


@given(st.lists(st.tuples(st.text(max_size=3), st.integers(0, 100)), max_size=200))
def test_the_limiter_never_remembers_more_addresses_than_it_may(takes: list[tuple[str, int]]) -> None:
    limiter = RateLimiter(per_s=1.0, burst=1, max_keys=16)
    now = 0
    for key, step in takes:
        now += step
        limiter.take(key, now)
    assert len(limiter._buckets) <= 16


def test_the_operator_token_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    token = load_operator_token(tmp_path / "data")
    path = tmp_path / "data" / "operator.token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(token) >= 32
    assert load_operator_token(tmp_path / "data") == token


def test_an_empty_token_file_is_no_token(tmp_path: Path) -> None:
    (tmp_path / "operator.token").write_text("")
    assert len(load_operator_token(tmp_path)) >= 32


def test_a_data_directory_that_is_a_file_is_a_settings_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("x")
    with pytest.raises(SettingsError):
        load_operator_token(tmp_path / "data")


@given(st.one_of(st.text(max_size=80), st.binary(max_size=80), st.none()))
def test_a_message_is_a_key_or_nothing(message: object) -> None:
    key = parse_key(message)
    assert key is None or key.reveal() in "0123456789*#ABCD"


def test_every_key_of_a_telephone_is_known() -> None:
    assert (
        "".join(k.reveal() for d in "0123456789*#ABCD" if (k := parse_key(f'{{"dtmf": "{d}"}}'))) == "0123456789*#ABCD"
    )


def test_no_ice_server_means_none_and_never_a_public_default() -> None:
    assert ice_configuration(WebRtcSettings()).iceServers == []


def test_the_turn_password_comes_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "turn").write_text("hunter2\n")
    settings = WebRtcSettings(
        ice_servers=("stun:s.example", "turn:t.example"), turn_username="u", turn_password_file=tmp_path / "turn"
    )
    stun, turn = ice_configuration(settings).iceServers or []
    assert stun.credential is None
    assert (turn.username, turn.credential) == ("u", "hunter2")
    with pytest.raises(SettingsError):
        ice_configuration(WebRtcSettings(turn_password_file=tmp_path / "absent"))


def test_half_a_certificate_is_a_settings_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="both or none"):
        _tls(WebSettings(cert_file=tmp_path / "cert.pem"))


async def test_the_page_is_served_over_https_when_a_certificate_is_set(tmp_path: Path) -> None:
    write_certificates(tmp_path)
    app = web.Application()
    app.router.add_get("/", healthz)
    settings = WebSettings(port=0, cert_file=tmp_path / "cert.pem", key_file=tmp_path / "key.pem")
    running = await start_web(app, settings)
    try:
        assert running.url.startswith("https://")
        trust = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        url = f"https://127.0.0.1:{running.port}/"
        async with aiohttp.ClientSession() as http, http.get(url, ssl=trust) as response:
            assert response.status == 200
    finally:
        await running.stop()


async def test_a_port_that_is_taken_is_a_settings_error() -> None:
    first = await start_web(web.Application(), WebSettings(port=0))
    try:
        with pytest.raises(SettingsError, match="cannot listen"):
            await start_web(web.Application(), WebSettings(port=first.port))
    finally:
        await first.stop()
