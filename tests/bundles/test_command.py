"""`trunkline bundle` as its users call it: from a terminal, an editor and CI."""

import json
import shutil
from pathlib import Path

import pytest
from jsonschema_rs import validator_for
from ruamel.yaml import YAML
from typer.testing import CliRunner

from services.cli.main import app

AGENTS = Path(__file__).parents[2] / "deploy" / "agents"


@pytest.fixture
def trunkline(tmp_path, monkeypatch):
    monkeypatch.setenv("TRUNKLINE__DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TRUNKLINE__BUNDLES__SIGNING_KEY", str(tmp_path / "key.pem"))

    def call(*arguments: object, status: int = 0) -> str:
        result = CliRunner().invoke(app, ["bundle", *map(str, arguments)])
        assert result.exit_code == status, result.output
        return result.output

    return call


def test_validate_says_that_a_bundle_is_whole_or_prints_every_fault_with_its_line(trunkline, tmp_path):
    assert "is whole" in trunkline("validate", AGENTS / "clinic")
    broken = tmp_path / "clinic"
    shutil.copytree(AGENTS / "clinic", broken)
    rules = broken / "rules.yaml"
    rules.write_text(rules.read_text().replace("patient.may_reschedule", "patient.may_reschedul"))
    output = trunkline("validate", broken, status=1)
    assert "rules.yaml:2:" in output
    assert "B052" in output
    document = json.loads(trunkline("validate", broken, "--json", status=1))
    assert document["ok"] is False
    assert document["problems"][0] | {"column": 0} == {
        "file": "rules.yaml",
        "line": 2,
        "column": 0,
        "code": "B052",
        "message": "Rule 'own-appointment': undeclared reference to 'patient.may_reschedul'.",
        "remedy": "Did you mean 'patient.may_reschedule'?",
    }


def test_a_directory_that_is_no_bundle_is_one_sentence(trunkline, tmp_path):
    output = trunkline("validate", tmp_path, "--json", status=1)
    assert "agent.yaml" in json.loads(output)["error"]["message"]


def test_the_schemas_accept_the_shipped_bundles_and_refuse_a_typo(trunkline, tmp_path):
    trunkline("schema", tmp_path / "schemas")
    for bundle in ("bank-retail", "clinic"):
        for schema in (tmp_path / "schemas").glob("*.schema.json"):
            name = schema.name.replace(".schema.json", ".yaml")
            folder = AGENTS / bundle / name.removesuffix(".yaml")
            paths = folder.glob("*.yaml") if folder.is_dir() else [AGENTS / bundle / name]
            check = validator_for(json.loads(schema.read_text()))
            for path in paths:
                check.validate(YAML(typ="safe").load(path.read_text()))
    check = validator_for(json.loads((tmp_path / "schemas" / "agent.schema.json").read_text()))
    assert not check.is_valid({**YAML(typ="safe").load((AGENTS / "clinic" / "agent.yaml").read_text()), "verison": "1"})


@pytest.mark.slow
def test_a_bundle_goes_from_a_directory_to_a_label_and_back(trunkline, tmp_path):
    trunkline("keygen")
    # Its own evals pass; a scenario that expects something else is a gate that fails.
    failing = tmp_path / "failing"
    shutil.copytree(AGENTS / "clinic", failing)
    calls = failing / "evals" / "calls.yaml"
    calls.write_text(calls.read_text().replace("within_turns: 1", "within_turns: 1, reason: fire"))
    refused = json.loads(trunkline("publish", failing, "--json", status=1))["error"]
    assert "end_state_match" in refused["message"]
    assert "--no-evals" in refused["remedy"]
    first = json.loads(trunkline("publish", AGENTS / "clinic", "--json"))["bundles"][0]
    trunkline("release", "clinic", "0.1.0")
    changed = tmp_path / "clinic"
    shutil.copytree(AGENTS / "clinic", changed)
    for file, before, after in (
        ("agent.yaml", "version: 0.1.0", "version: 0.2.0"),
        ("prompts/en-GB.yaml", "Riverside clinic", "Good day, Riverside clinic"),
    ):
        path = changed / file
        path.write_text(path.read_text().replace(before, after))
    trunkline("publish", changed, "--no-evals")
    assert "did not pass" in trunkline("release", "clinic", "0.2.0", "--json", status=1)
    assert "greeting" in trunkline("diff", "clinic@0.1.0", changed)
    assert (
        json.loads(trunkline("release", "clinic", "0.2.0", "--canary", 5, "--no-evals", "--json"))["canary_percent"]
        == 5
    )
    trunkline("release", "clinic", "0.2.0", "--back-end", changed)
    back = json.loads(trunkline("rollback", "clinic", "--reason", "wording", "--json"))
    assert back["digest"] == first["digest"]
    moves = json.loads(trunkline("history", "clinic", "--json"))["moves"]
    assert [move["action"] for move in moves] == ["rollback", "promote", "canary", "release"]
