"""`trunkline bench --workers N`: the stack that is started has them, each worker's part is told, rows add up."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest

from services.cli.benchmark.compare import compare
from services.cli.benchmark.per_worker import worker_rows
from services.cli.benchmark.report import render
from services.cli.benchmark.result import CallResult
from services.cli.benchmark.show import tables
from services.cli.benchmark.worker_table import worker_table
from services.cli.declared import declared
from services.cli.stack import SCRIPTED, Launch
from tests.bench.documents import MS, document, planted_cell, turn
from tests.bench.scripted_stack import isolated, scripted_stack
from tests.bench.test_commands_end_to_end import speech, trunkline
from tests.bench.test_report import Page

PROCESSES = {"orchestrator-1": {"cpu_s": 3.0, "cpu_s_per_call_minute": 1.0}, "front": {"cpu_s": 1.0}}
PATH = declared(Launch.load(None, "cpu", SCRIPTED).settings, 1)


def call(index: int, worker: int | None, *waits_ms: float, minutes: float = 1.0) -> CallResult:
    call_id = "" if worker is None else f"{index:013x}{worker:03x}" + "8" * 16
    found = CallResult(index, 0, int(minutes * 60_000) * MS, call_id)
    found.turns = [turn(n, ms, n * 10_000) for n, ms in enumerate(waits_ms, 1)]
    return found


def planted_rows() -> list[dict[str, Any]]:
    calls = [call(1, 1, 500, 520), call(2, 2, 600, minutes=2), call(3, 1, 540, minutes=2), call(4, None)]
    calls[1].turns.append(turn(2, None, 30_000, outcome="unanswered"))
    return worker_rows(calls, range(1, 4), PATH, PROCESSES)


def test_each_worker_has_the_turns_of_its_own_calls_and_cpu_per_minute_of_them() -> None:
    first, second, idle, unknown = planted_rows()
    assert (first["process"], first["calls"], first["turns"], first["answered"]) == ("orchestrator-1", 2, 3, 3)
    assert (first["voice_to_voice"]["n"], first["voice_to_voice"]["p50_ms"]) == (3, 520)
    assert first["overhead"]["p50_ms"] == 520 - PATH.total_ms
    assert (first["cpu_s"], first["cpu_s_per_call_minute"]) == (3.0, 1.0)
    assert (second["turns"], second["answered"], second["voice_to_voice"]["n"]) == (2, 1, 1)
    assert second["cpu_s"] is second["cpu_s_per_call_minute"] is None
    assert (idle["process"], idle["calls"], idle["turns"]) == ("orchestrator-3", 0, 0)
    assert (unknown["worker"], unknown["process"], unknown["calls"]) == (None, "", 1)


def test_without_workers_there_is_one_row_and_no_table() -> None:
    # Where a worker's number would stand in the id, one process that does everything has chance.
    calls = [call(1, 0, 500), call(2, 1234, 500)]
    (row,) = worker_rows(calls, range(0), None, {"orchestrator": {"cpu_s": 2.0}})
    assert (row["process"], row["turns"], row["cpu_s"], row["overhead"]) == ("orchestrator", 2, 2.0, None)
    assert worker_table({"workers": [row], "overhead": None}, lambda *_: "") == ([], [])
    assert worker_table({"overhead": None}, lambda *_: "") == ([], [])


@pytest.mark.parametrize("cells", [1, 2])
def test_the_page_and_the_terminal_show_a_row_per_worker(cells: int) -> None:
    made = [planted_cell(calls=n + 2) | {"workers": planted_rows()} for n in range(cells)]
    shown = render(document(*made) | {"stack": {"started": True, "workers": 3, "workers_asked": 3}})
    assert Page(shown).open == []
    assert "3 orchestrator workers" in shown
    assert shown.count("<h3>Workers</h3>") == cells
    assert "orchestrator-3" in shown
    assert [t.title for t in tables(document(*made))].count("workers, ms (95 % interval)") == (cells == 1)


def test_a_comparison_says_that_the_numbers_of_workers_differ() -> None:
    one, two = (document(planted_cell()) | {"stack": {"workers": n}} for n in (1, 2))
    assert "orchestrator workers: 1 and 2" in compare(one, two, 5.0)["differs"]
    assert not any("workers" in line for line in compare(one, document(planted_cell()), 5.0)["differs"])


async def bench(launch: Launch, out: Path, workers: int) -> tuple[dict[str, Any], str, str]:
    """Four SIP calls of two turns: the document, the page, what was said on the terminal."""
    sets = [part for pair in launch.overrides for part in ("--set", pair)]
    sizes = ("--calls", "4", "--turns", "2", "--barge-in-every", "0", "--warmup", "0", "--workers", str(workers))
    page = out.with_suffix(".html")
    code, _, said = await trunkline("bench", *sizes, "--out", str(out), "--html", str(page), *sets, deadline_s=200)
    assert code == 0, said
    return json.loads(text(out)), text(page), said


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def check_rows(cell: dict[str, Any]) -> None:
    """Both workers had turns, and what they had is what the cell had."""
    rows = cell["workers"]
    assert [row["worker"] for row in rows] == [1, 2]
    assert all(row["turns"] and row["answered"] for row in rows)
    assert sum(row["calls"] for row in rows) == cell["calls"]["started"] == 4
    assert sum(row["turns"] for row in rows) == len(cell["turns"]) == 8
    assert sum(row["answered"] for row in rows) == cell["outcomes"]["answered"]
    for stage, whole in (("voice_to_voice", cell["stages"]["voice_to_voice"]), ("overhead", cell["overhead"])):
        assert sum(row[stage]["n"] for row in rows) == whole["n"]
        # A median of all lies between those of the parts.
        medians = sorted(row[stage]["p50_ms"] for row in rows)
        assert medians[0] - 0.1 <= whole["p50_ms"] <= medians[1] + 0.1
    assert sum(row["minutes"] for row in rows) == pytest.approx(cell["calls"]["minutes"], abs=0.02)


# Real time on shared cores: once more where other work took the machine meanwhile.
@pytest.mark.flaky(reruns=1)
@pytest.mark.slow
@pytest.mark.models
@pytest.mark.timeout(300)
async def test_two_workers_that_bench_starts_both_serve_turns_and_their_rows_add_up() -> None:
    speech("cards/001.wav")
    with tempfile.TemporaryDirectory(prefix="tl") as folder:
        cell, page, said = await bench(isolated(Path(folder)), Path(folder) / "b.json", 2)
    assert cell["stack"] == {"started": True, "workers": 2, "workers_asked": 2}
    check_rows(cell)
    for row in cell["workers"]:
        assert row["cpu_s"] == cell["processes"][row["process"]]["cpu_s"] > 0
    assert "<h3>Workers</h3>" in page
    assert "orchestrator-2" in page
    assert "measured as it is" not in said


# Real time on shared cores: once more where other work took the machine meanwhile.
@pytest.mark.flaky(reruns=1)
@pytest.mark.slow
@pytest.mark.models
@pytest.mark.timeout(300)
async def test_a_running_stack_is_measured_with_the_workers_that_it_has_and_says_so() -> None:
    speech("cards/001.wav")
    async with scripted_stack("orchestrator.workers=2") as stack:
        cell, _, said = await bench(stack.launch, stack.launch.settings.data_dir / "b.json", 3)
    assert "has 2 orchestrator workers: measured as it is" in " ".join(said.split())
    assert cell["stack"] == {"started": False, "workers": 2, "workers_asked": 3}
    check_rows(cell)
