"""What is on disk against what the manifest says."""

import os

import pytest

from services.common.errors import MissingModelError
from services.common.models import STAMP, ModelStore
from services.common.settings import ModelsSettings
from tests.models.lab import BODY, sha


@pytest.fixture
def store(lab):
    store = lab.toy()
    place(store)
    return store


def place(store, body=BODY):
    path = store.dir / "toy" / "model.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path


def test_a_model_that_is_whole_gives_its_directory_and_leaves_a_stamp(store):
    assert store.path("toy") == store.dir / "toy"
    assert (store.dir / "toy" / STAMP).exists()


def test_a_missing_model_names_the_file_and_the_command(lab):
    with pytest.raises(MissingModelError) as missing:
        lab.toy().path("toy")
    assert "model.bin is missing" in missing.value.message
    assert missing.value.remedy == "Run `trunkline models fetch toy`."


def test_an_altered_file_names_both_hashes(store):
    place(store, b"other")
    with pytest.raises(MissingModelError) as altered:
        store.path("toy")
    assert sha(BODY) in altered.value.message
    assert sha(b"other") in altered.value.message


def test_a_stamp_saves_the_hash_until_size_or_time_changes(store):
    path = store.dir / "toy" / "model.bin"
    store.path("toy")
    hashed = []
    store.check(store.entry("toy"), progress=hashed.append)
    assert hashed == []
    os.utime(path, ns=(1, 1))
    store.check(store.entry("toy"), progress=hashed.append)
    assert sum(hashed) == len(BODY)


def test_an_alteration_that_keeps_size_and_time_is_found_by_a_full_check(store):
    path = store.dir / "toy" / "model.bin"
    store.path("toy")
    times = path.stat().st_mtime_ns
    path.write_bytes(BODY[::-1])
    os.utime(path, ns=(times, times))
    assert [s.state for s in store.check(store.entry("toy"), full=True)] == ["altered"]
    # And the stamp no longer vouches for it.
    assert [s.state for s in store.check(store.entry("toy"))] == ["altered"]


@pytest.mark.parametrize("stamp", ["", "not json", "[]", '{"model.bin": null}', '{"model.bin": [1, 2, "x"]}'])
def test_a_stamp_that_means_nothing_is_ignored(store, stamp):
    (store.dir / "toy" / STAMP).write_text(stamp)
    assert store.path("toy")


def test_without_verification_only_presence_is_asked(store, lab):
    place(store, b"other")
    trusting = ModelStore(ModelsSettings(dir=store.dir, verify_on_start=False), lab.root / "manifest.toml")
    assert trusting.path("toy")


def test_an_unknown_name_gets_the_nearest(store):
    with pytest.raises(MissingModelError, match="Did you mean toy"):
        store.path("toys")


def test_an_unpinned_file_is_refused_until_the_site_pins_it_and_then_guarded(lab):
    store = lab.toy(digest="")
    place(store)
    with pytest.raises(MissingModelError) as unpinned:
        store.path("toy")
    assert unpinned.value.remedy == "Run `trunkline models pin toy`."
    assert store.pin("toy") == {"model.bin": sha(BODY)}
    assert store.path("toy")
    assert store.entry("toy").pinned
    place(store, b"other")
    with pytest.raises(MissingModelError, match="altered"):
        store.path("toy")


def test_a_pin_of_the_site_never_replaces_one_of_the_manifest(store):
    place(store, b"other")
    assert store.pin("toy") == {}
    with pytest.raises(MissingModelError, match="altered"):
        store.path("toy")
