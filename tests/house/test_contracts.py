"""The house keeps its own rules: generated code, locks, layout, clocks and sleeps."""

import ast
import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [p for p in (ROOT / "services").rglob("*.py") if "pb" not in p.relative_to(ROOT / "services").parts]


def _generator():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "proto" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_stubs_match_the_protos(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{ROOT / '.venv' / 'bin'}:/usr/bin:/bin")
    _generator().generate(tmp_path)
    committed = ROOT / "services" / "pb"
    wanted = {p.relative_to(tmp_path): p.read_text() for p in tmp_path.rglob("*.py*") if p.suffix in (".py", ".pyi")}
    found = {p.relative_to(committed): p.read_text() for p in committed.rglob("*.py*") if p.suffix in (".py", ".pyi")}
    assert wanted.keys() == found.keys(), "run `make proto`"
    stale = [str(name) for name in wanted if wanted[name] != found[name]]
    assert not stale, f"stale generated files, run `make proto`: {stale}"


def test_the_top_level_holds_what_was_agreed_and_nothing_else():
    agreed = {
        "pyproject.toml", "services", "proto", "deploy", "models", "benchmarks", "tests", "README.md",
        "LICENSE", "Makefile", "docs",
    }  # fmt: skip
    ignored = {"var"}
    found = {p.name for p in ROOT.iterdir() if not p.name.startswith(".")}
    assert found - ignored <= agreed


def test_no_clock_is_read_outside_the_clock_module():
    pattern = re.compile(
        r"\btime\.(time|monotonic|perf_counter)(_ns)?\(|loop\(?\)?\.time\(|datetime\.(now|utcnow)\(|\btime\.sleep\("
    )
    offenders = [
        f"{p.relative_to(ROOT)}:{number}"
        for p in SOURCES
        if p.name != "clock.py"
        for number, line in enumerate(p.read_text().splitlines(), 1)
        if pattern.search(line)
    ]
    assert not offenders, "take a Clock instead"


def test_no_deadline_is_the_event_loops_where_a_test_would_have_to_wait_for_it():
    """A deadline is on the injected clock (services/common/deadline.py), or the line before says why it is not.

    The command line's test callers and benchmarks live in real time: they are left out.
    """
    unsaid = []
    for path in SOURCES:
        lines = path.read_text().splitlines()
        for above, line in zip(["", *lines], lines, strict=False):
            waits = re.search(r"\basyncio\.(timeout|timeout_at|wait_for)\(", line)
            if waits and "# Loop clock:" not in above and "cli" not in path.parts:
                unsaid.append(f"{path.relative_to(ROOT)}: {line.strip()}")
    assert not unsaid, f"use deadline() or within() of services/common/deadline.py: {unsaid}"


def test_turn_taking_has_no_await_no_clock_and_no_io():
    forbidden = {"asyncio", "time", "socket", "grpc", "threading", "logging", "structlog", "asyncpg", "aiohttp"}
    for path in (ROOT / "services" / "orchestrator" / "turns").glob("*.py"):
        tree = ast.parse(path.read_text())
        imported = {
            (name.name if isinstance(node, ast.Import) else (node.module or "")).split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in node.names
        }
        assert not imported & forbidden, path
        assert not any(isinstance(node, ast.Await | ast.AsyncFunctionDef) for node in ast.walk(tree)), path


def test_no_exception_is_swallowed_without_a_type():
    bare = [
        f"{p.relative_to(ROOT)}:{node.lineno}"
        for p in SOURCES
        for node in ast.walk(ast.parse(p.read_text()))
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]
    assert not bare


@pytest.mark.parametrize("extra", ["vad", "asr", "llm-cpu", "tts", "telephony", "orchestrator", "cli", "cpu", "dev"])
def test_every_extra_has_a_hashed_lock_that_holds_its_dependencies(extra):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lock = (ROOT / "deploy" / "locks" / f"{extra}.txt").read_text()
    locked = {name.lower().replace("_", "-") for name in re.findall(r"^([A-Za-z0-9_.-]+)==", lock, re.M)}
    wanted = [*project["dependencies"], *project["optional-dependencies"][extra]]
    names = {re.match(r"[A-Za-z0-9_.-]+", line)[0].lower().replace("_", "-") for line in wanted} - {"trunkline"}
    assert names <= locked, f"run `make lock`: {names - locked}"
    assert lock.count("--hash=sha256:") >= len(locked)


def test_locks_agree_with_one_another():
    versions: dict[str, set[str]] = {}
    for path in (ROOT / "deploy" / "locks").glob("*.txt"):
        if path.stem == "llm-vllm":
            continue  # vLLM pins its own world, in an image of its own.
        for name, version in re.findall(r"^([A-Za-z0-9_.-]+)==([^ ;\\]+)", path.read_text(), re.M):
            versions.setdefault(name, set()).add(version)
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


def test_an_image_without_tts_does_not_install_gpl_piper():
    for path in (ROOT / "deploy" / "locks").glob("*.txt"):
        if path.stem not in ("tts", "cpu", "dev"):
            assert "piper" not in path.read_text(), path.name
