"""What compare finds and what the gate lets through, on planted figures; old files are read, unknown ones refused."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli.benchmark.compare import compare, verdicts
from services.cli.benchmark.documents import load, save
from services.cli.benchmark.slo import judge, load_slo
from services.cli.main import app
from services.common.errors import InvalidInputError
from tests.bench.documents import document, planted_cell

ROOT = Path(__file__).parents[2]
runner = CliRunner()


def rows(comparison) -> dict[str, str]:
    return {row["what"]: row["verdict"] for cell in comparison["cells"] for row in cell["rows"]}


def test_a_planted_delay_is_worse_in_its_stage_and_in_voice_to_voice_and_nowhere_else() -> None:
    found = rows(compare(document(planted_cell(8)), document(planted_cell(8, extra={"llm_ttft": 60}, seed=7))))
    worse = {what for what, verdict in found.items() if verdict == "worse"}
    assert worse == {"llm_ttft P50", "llm_ttft P95", "voice_to_voice P50", "voice_to_voice P95"}
    back = rows(compare(document(planted_cell(8, extra={"llm_ttft": 60}, seed=7)), document(planted_cell(8))))
    assert back["llm_ttft P50"] == "better"


def test_two_runs_of_the_same_thing_show_no_difference() -> None:
    comparison = compare(document(planted_cell(seed=3)), document(planted_cell(seed=4)))
    assert set(verdicts(comparison)) <= {"no difference", "seen once"}


def test_more_turns_cut_off_are_found_and_few_turns_are_said_to_be_few() -> None:
    more = rows(compare(document(planted_cell(cut_off=0.02)), document(planted_cell(cut_off=0.3, seed=2))))
    assert more["turns cut_off"] == "worse"
    few = rows(compare(document(planted_cell(1, 3)), document(planted_cell(1, 3, seed=2))))
    assert few["voice_to_voice P50"] == "too few"


def test_cells_are_paired_by_what_they_are_and_others_are_named() -> None:
    a = document(planted_cell(), planted_cell(transport="webrtc"), planted_cell(calls=2, turns=10))
    b = document(planted_cell(), planted_cell(transport="webrtc"), planted_cell(script="coughs"))
    comparison = compare(a, b)
    assert [cell["cell"] for cell in comparison["cells"]] == ["4 SIP calls, plain", "4 WebRTC calls, plain"]
    assert comparison["only_in_a"] == ["2 SIP calls, plain"]
    assert comparison["only_in_b"] == ["4 SIP calls, coughs"]
    assert comparison["differs"] == []


SLO = """
title = "test"
[where]
transport = ["sip"]
[[stage]]
name = "voice_to_voice"
p95_ms = {p95}
least_n = {n}
[counts]
dropped_frames = 0
cut_off_percent = 5
"""


def slo(tmp_path: Path, p95: int = 800, n: int = 100, text: str = SLO) -> Path:
    path = tmp_path / "slo.toml"
    path.write_text(text.format(p95=p95, n=n))
    return path


def test_the_gate_passes_what_meets_its_targets_and_says_expected_and_got(tmp_path: Path) -> None:
    result = tmp_path / "r.json"
    save(result, document(planted_cell()))
    passed = runner.invoke(app, ["bench", "gate", "--slo", str(slo(tmp_path)), str(result)])
    assert passed.exit_code == 0, passed.output
    failed = runner.invoke(app, ["bench", "gate", "--slo", str(slo(tmp_path, p95=400)), str(result), "--json"])
    assert failed.exit_code == 1
    row = json.loads(failed.stdout)["rows"][0]
    assert (row["what"], row["expected"], row["met"]) == ("voice_to_voice P95", "at most 400 ms", False)
    assert row["got"].startswith("5")


def test_too_few_turns_and_cells_nobody_asked_about_do_not_pass(tmp_path: Path) -> None:
    few = judge(load_slo(slo(tmp_path, n=1000)), document(planted_cell()))
    assert few["met"] is False
    assert few["rows"][0]["note"] == "n 160, at least 1000 needed"
    assert few["rows"][0]["unproven"] is True
    other = document(planted_cell(transport="webrtc"))
    assert judge(load_slo(slo(tmp_path)), other) == {"title": "test", "met": None, "rows": []}
    save(tmp_path / "r.json", other)
    assert runner.invoke(app, ["bench", "gate", "--slo", str(slo(tmp_path)), str(tmp_path / "r.json")]).exit_code == 1


def test_turns_cut_off_are_counted_against_their_share(tmp_path: Path) -> None:
    judged = judge(load_slo(slo(tmp_path)), document(planted_cell(cut_off=0.3)))
    (row,) = [row for row in judged["rows"] if row["what"] == "turns cut off"]
    assert not row["met"]


def test_a_misspelt_target_is_named_with_the_nearest_key(tmp_path: Path) -> None:
    path = slo(tmp_path, text=SLO.replace("p95_ms", "p95_mss"))
    with pytest.raises(InvalidInputError, match=r"Did you mean p95_ms\?"):
        load_slo(path)
    with pytest.raises(InvalidInputError, match="TOML"):
        load_slo(tmp_path / "no.toml")


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks" / "slo").glob("*.toml")), ids=lambda p: p.stem)
def test_every_target_file_that_is_shipped_is_valid(path: Path) -> None:
    assert load_slo(path).title


def test_the_help_of_the_gate_shows_a_target_file_that_works(tmp_path: Path) -> None:
    from services.cli.benchmark.commands import gate

    assert gate.__doc__ is not None
    lines = [line.removeprefix("    ") for line in gate.__doc__.split("```")[1].splitlines()]
    (tmp_path / "shown.toml").write_text("\n".join(lines))
    assert load_slo(tmp_path / "shown.toml").counts.cut_off_percent == 5


FIRST_SCHEMA = [
    path
    for path in sorted((ROOT / "benchmarks" / "results").glob("*.json"))
    if json.loads(path.read_text()).get("benchmark") == "trunkline-voice-to-voice/1"
]


@pytest.mark.parametrize("path", FIRST_SCHEMA, ids=lambda p: p.stem)
def test_results_of_the_first_schema_are_read_compared_and_judged(path: Path) -> None:
    old = load(path)
    assert old["stages"]["voice_to_voice"]["p50_ci_ms"] is not None
    assert set(verdicts(compare(old, old))) <= {"no difference", "seen once", "too few"}
    assert judge(load_slo(ROOT / "benchmarks" / "slo" / "overhead.toml"), old)["title"]


def test_other_files_are_refused_with_what_to_do(tmp_path: Path) -> None:
    other = tmp_path / "x.json"
    for text, told in (
        ("{}", "another kind of JSON"),
        ('{"benchmark": "trunkline-voice-to-voice/9"}', "newer version"),
    ):
        other.write_text(text)
        with pytest.raises(InvalidInputError, match=told):
            load(other)
    other.write_text("<html>")
    answer = runner.invoke(app, ["bench", "compare", str(other), str(other)])
    assert answer.exit_code == 1
    assert "trunkline bench --out" in answer.stderr


def test_two_files_are_compared_on_the_command_line_as_a_table_as_json_and_as_a_page(tmp_path: Path) -> None:
    a, b, page = tmp_path / "a.json", tmp_path / "b.json", tmp_path / "d.html"
    save(a, document(planted_cell()))
    save(b, document(planted_cell(extra={"tts_ttfa": 50}, seed=2)))
    answer = runner.invoke(app, ["bench", "compare", str(a), str(b), "--html", str(page)])
    assert answer.exit_code == 0
    assert "worse" in answer.output
    assert json.loads(runner.invoke(app, ["bench", "compare", str(a), str(b), "--json"]).stdout)["cells"]
    assert "<script" not in page.read_text()
    assert "tts_ttfa" in page.read_text()
