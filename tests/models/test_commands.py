"""`trunkline models …` as a person and as a program run it."""

import json

import pytest
from typer.testing import CliRunner

from services.cli.models import app


@pytest.fixture
def run(tmp_path):
    env = {"TRUNKLINE__MODELS__DIR": str(tmp_path), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "COLUMNS": "200"}

    def run(*arguments):
        return CliRunner().invoke(app, arguments, env=env)

    return run


def test_list_shows_every_model_and_that_it_is_missing(run):
    listed = json.loads(run("list", "--json").stdout)
    states = {row["model"]: row["state"] for row in listed["models"]}
    assert states["whisper-tiny.en"] == "missing"
    assert "whisper-tiny.en" in run("list").stdout


def test_list_can_be_narrowed_to_a_profile(run):
    listed = json.loads(run("list", "--profile", "nvidia", "--json").stdout)
    names = {row["model"] for row in listed["models"]}
    assert {"whisper-large-v3-turbo", "qwen3-8b-instruct", "silero-vad-v6"} <= names
    assert "whisper-tiny.en" not in names


def test_verify_fails_for_missing_files_and_says_how_to_get_them(run):
    shown = run("verify", "silero-vad-v6")
    assert shown.exit_code == 1
    assert "Run `trunkline models fetch silero-vad-v6`" in shown.stdout
    machine = run("verify", "silero-vad-v6", "--json")
    assert machine.exit_code == 1
    assert json.loads(machine.stdout)["files"][0]["state"] == "missing"


def test_a_model_that_cannot_be_fetched_is_a_failure_with_a_reason_not_a_traceback(run):
    failed = run("fetch", "silero-vad-v6", "--json")
    assert failed.exit_code == 1
    answer = json.loads(failed.stdout)
    assert answer["ok"] is False
    assert "silero-vad==6.2.3" in answer["models"][0]["error"]


def test_an_unknown_model_is_one_readable_line(run):
    unknown = run("fetch", "silero")
    assert unknown.exit_code == 1
    assert "Did you mean silero-vad-v6" in unknown.stderr
    assert "Traceback" not in unknown.output


@pytest.mark.models
def test_the_models_of_this_machine_verify():
    verified = CliRunner().invoke(app, ["verify", "silero-vad-v6", "smart-turn-v3.2", "--json"])
    assert json.loads(verified.stdout)["ok"], verified.stdout
