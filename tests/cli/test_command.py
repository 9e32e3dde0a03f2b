"""The command as a person or a script meets it."""

import json
import socket
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from services import __version__
from services.cli.main import app

runner = CliRunner()


def test_version_and_help_need_no_model() -> None:
    assert runner.invoke(app, ["--version"]).stdout.strip() == __version__
    answer = runner.invoke(app, ["--help"])
    assert answer.exit_code == 0
    assert "trunkline doctor" in answer.output


@pytest.mark.parametrize("command", ["up", "doctor", "call", "bench", "demo", "models"])
def test_each_command_has_help_with_an_example(command: str) -> None:
    answer = runner.invoke(app, [command, "--help"])
    assert answer.exit_code == 0
    if command != "models":
        assert "Example" in answer.output


def test_an_unknown_setting_is_a_sentence_with_the_nearest_key_and_no_traceback() -> None:
    answer = runner.invoke(app, ["up", "--set", "asr.thread=2"])
    assert answer.exit_code == 1
    assert "Did you mean asr.threads" in answer.stderr
    assert "Traceback" not in answer.output


def test_wrong_models_and_services_are_refused_before_anything_starts() -> None:
    assert "expected real or scripted" in runner.invoke(app, ["up", "--models", "fake"]).stderr
    assert "expected some of vad" in runner.invoke(app, ["up", "--only", "vda"]).stderr
    assert runner.invoke(app, ["up", "--nonsense"]).exit_code == 2


def test_an_error_is_one_json_document_when_asked_for() -> None:
    answer = runner.invoke(app, ["up", "--json", "--set", "asr.threads=none"])
    assert answer.exit_code == 1
    assert "asr.threads" in json.loads(answer.stdout)["error"]["message"]


def test_a_port_in_use_ends_the_start_with_its_name_and_setting() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "services.cli.main", "up", "--only", "vad", "--set", f"vad.port={port}"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert f"vad.port = {port}" in done.stderr
    assert f"--set vad.port={port + 1000}" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_doctor_answers_in_json() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "services.cli.main", "doctor", "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    report = json.loads(done.stdout)
    assert done.returncode == (0 if report["ok"] else 1)
    assert {"python", "gpu", "postgresql", "sip", "egress"} <= {check["name"] for check in report["checks"]}
