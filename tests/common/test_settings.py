"""The settings tree: layers, nearest keys, typed errors."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import SettingsError
from services.common.process import parse_overrides
from services.common.settings import Settings, known_keys, load_settings


def test_defaults_are_valid_and_documented_by_the_tree():
    settings = load_settings(env={})
    assert settings == Settings()
    assert settings.asr.address() == "127.0.0.1:50052"
    assert "orchestrator.turns.pause_ms" in set(known_keys())


def test_an_unknown_key_names_the_nearest_one(tmp_path):
    file = tmp_path / "t.toml"
    file.write_text("[asr]\nthread = 2\n")
    with pytest.raises(SettingsError, match=r"asr\.thread: no such setting\. Did you mean asr\.threads\?") as raised:
        load_settings(file, env={})
    assert str(file) in str(raised.value)


def test_later_layers_win_file_environment_overrides(tmp_path):
    file = tmp_path / "t.toml"
    file.write_text('profile = "nvidia"\n[asr]\nthreads = 2\nmax_batch = 3\n')
    settings = load_settings(file, env={"TRUNKLINE__ASR__THREADS": "4"}, overrides={"asr": {"max_queue_ms": 9}})
    assert (settings.profile, settings.asr.device) == ("nvidia", "cuda")
    assert (settings.asr.threads, settings.asr.max_batch, settings.asr.max_queue_ms) == (4, 3, 9)


def test_lists_come_comma_separated_from_environment_and_command_line():
    assert load_settings(env={"TRUNKLINE__TTS__VOICES": "a, b"}).tts.voices == ("a", "b")
    overrides = parse_overrides(["telephony.sip.codecs=pcmu,pcma", "telephony.jitter_buffer_ms=20,40"])
    settings = load_settings(env={}, overrides=overrides)
    assert settings.telephony.sip.codecs == ("pcmu", "pcma")
    assert settings.telephony.jitter_buffer_ms == (20, 40)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"asr": {"threads": -1}}, "asr.threads"),
        ({"vad": {"port": 70000}}, "vad.port"),
        ({"profile": "gpu"}, "profile: expected one of cpu, nvidia"),
        ({"orchestrator": {"committed_ms": 500}}, "orchestrator.committed_ms"),
        ({"asr": "fast"}, "asr"),
    ],
)
def test_absurd_settings_are_refused_by_name(tree, message):
    with pytest.raises(SettingsError, match=message):
        load_settings(env={}, overrides=tree)


def test_the_value_of_a_wrong_setting_is_not_repeated_since_it_may_be_a_secret():
    with pytest.raises(SettingsError) as raised:
        load_settings(env={"TRUNKLINE__TELEPHONY__PORT": "hunter2"})
    assert "hunter2" not in str(raised.value)


def test_a_file_that_is_missing_or_no_toml_is_said(tmp_path):
    with pytest.raises(SettingsError, match="Cannot read the settings file"):
        load_settings(tmp_path / "none.toml", env={})
    broken = tmp_path / "broken.toml"
    broken.write_bytes(b"\xff\xfe = [")
    with pytest.raises(SettingsError, match="is not TOML"):
        load_settings(broken, env={})


def test_an_override_without_a_value_teaches_the_form():
    with pytest.raises(SystemExit, match="expected KEY=VALUE"):
        parse_overrides(["asr.threads"])


NAMES = ["TRUNKLINE__ASR", "TRUNKLINE__ASR__THREADS", "TRUNKLINE__X__Y", "TRUNKLINE__PROFILE", "OTHER"]


@given(st.dictionaries(st.sampled_from(NAMES), st.text()))
def test_no_environment_makes_the_loader_fail_other_than_by_its_own_error(env):
    with contextlib.suppress(SettingsError):
        assert isinstance(load_settings(env=env), Settings)


@pytest.mark.parametrize(
    ("key", "value"),
    [("asr_hotwords", [" "]), ("asr_hotwords", ["ü" * 24] * 3), ("say", {"two words": "x"}), ("say", {"word": " … "})],
)
def test_words_that_a_service_would_refuse_in_every_call_are_refused_at_the_start(key: str, value: object) -> None:
    with pytest.raises(SettingsError, match=f"agent.{key}"):
        load_settings(env={}, overrides={"agent": {key: value}})
