"""What the doctor finds, and what it says to do about it."""

import json
from pathlib import Path

import pytest

from services.cli.doctor import to_json
from services.cli.doctor_checks import check_all, egress, model_files, packages
from services.cli.machine import commit, machine
from services.cli.stack import Launch
from services.common.clock import SystemClock
from services.common.settings import load_settings


def settings(**overrides):
    return load_settings(env={}, overrides=overrides)


def test_a_missing_package_is_named_with_the_extra_that_brings_it() -> None:
    found = list(packages(settings(), ["asr", "tts"], present=lambda module: module != "ctranslate2"))
    assert [(f.name, f.state) for f in found] == [("packages: asr", "missing"), ("packages: tts", "ok")]
    assert found[0].remedy == 'pip install "trunkline[asr]"'


def test_the_engine_decides_which_packages_the_llm_needs() -> None:
    chosen = settings(llm={"engine": "vllm"})
    [found] = packages(chosen, ["llm"], present=lambda module: False)
    assert found.remedy == 'pip install "trunkline[llm-vllm]"'
    assert list(packages(settings(llm={"engine": "scripted"}), ["llm"])) == []


def test_missing_weights_are_named_with_the_command_that_fetches_them(tmp_path: Path) -> None:
    found = {f.name: f for f in model_files(settings(models={"dir": str(tmp_path)}), ["vad", "asr"])}
    assert found["model: whisper-tiny.en"].state == "missing"
    assert "trunkline models fetch whisper-tiny.en" in found["model: whisper-tiny.en"].remedy
    assert found["model: speech-test"].state == "note"


def test_no_setting_leaves_the_machine_by_default_and_one_that_does_is_named() -> None:
    [quiet] = egress(settings())
    assert quiet.state == "ok"
    [loud] = egress(
        settings(
            database={"dsn": "postgres://u:secret@db.example:5432/t"},
            llm={"target": "dns:///llm.voice.svc:50053"},
            tts={"target": "127.0.0.1:50054"},
            orchestrator={"webrtc": {"ice_servers": ["turn:turn.example:3478"]}},
        )
    )
    assert loud.state == "note"
    assert loud.found == "database.dsn → db.example; llm.target → llm.voice.svc; ice_servers[0] → turn.example"


async def test_a_database_that_does_not_answer_is_missing_and_its_password_is_not_shown(tmp_path: Path) -> None:
    launch = Launch.load(None, "cpu", [f"data_dir={tmp_path}", "database.dsn=postgres://u:secret@127.0.0.1:1/t"])
    found = await check_all(launch, SystemClock())
    [database] = [f for f in found if f.name == "postgresql"]
    assert database.state == "missing"
    assert "secret" not in json.dumps(to_json(found))


async def test_the_machine_is_described_honestly() -> None:
    host = (await machine()).to_json()
    assert host["cores"] >= 1
    assert host["gpu"] == (", ".join(host["gpus"]) or "none")
    assert commit().startswith("0.")


@pytest.mark.parametrize(("device", "state"), [("cpu", "note"), ("cuda", "missing")])
async def test_a_gpu_is_missing_only_where_it_is_needed(device: str, state: str) -> None:
    profile = "nvidia" if device == "cuda" else "cpu"
    found = await check_all(Launch.load(None, profile, [f"asr.device={device}"]), SystemClock())
    [gpu] = [f for f in found if f.name == "gpu"]
    assert gpu.state in (state, "ok")
