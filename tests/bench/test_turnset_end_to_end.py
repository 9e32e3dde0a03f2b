"""A handful of the turn-taking set with the real models: made, asked, replayed without models, the same figures."""

from pathlib import Path
from typing import Any

import pytest

from services.cli.caller_role import free_ports
from services.cli.stack import Launch
from services.cli.terminal import Interrupts
from services.cli.turnset.measuring import measure
from services.common.clock import SystemClock
from services.common.errors import MissingModelError
from services.common.models import ModelStore


def launch(folder: Path) -> Launch:
    services = ("vad", "asr", "tts")
    ports = free_ports(len(services))
    pairs = [f"{name}.port={port}" for name, port in zip(services, ports, strict=True)]
    pairs += [f"{name}.metrics_port=0" for name in services]
    made = Launch.load(None, "cpu", [*pairs, f"data_dir={folder}"])
    try:
        store = ModelStore(made.settings.models)
        for model in (made.settings.vad.model, made.settings.vad.turn_model, made.settings.asr.model, "speech-test"):
            store.path(model)
    except MissingModelError as error:
        pytest.skip(str(error))
    return made


def shape(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in ("when", "commit", "machine")}


@pytest.mark.slow
@pytest.mark.models
@pytest.mark.timeout(600)
async def test_a_handful_is_made_with_real_models_and_replayed_without_them(tmp_path: Path) -> None:
    asked = launch(tmp_path)
    document = await measure("tuning", asked, SystemClock(), Interrupts(), 1, 1, None, sweep=False)
    made = document["set"]
    assert made["barge_ins"] == 6
    assert made["shifts"] >= 11
    assert made["holds"] >= 7
    # Short of models: nothing listens on the ports now.
    again = await measure("tuning", asked, SystemClock(), Interrupts(), 1, 1, None, sweep=False)
    assert shape(again) == shape(document)
    ours = document["systems"]["trunkline"]
    assert 150 < ours["wait_p50_ms"]["value"] < 1500
    assert ours["barge_in_pause_ms"]["n"] == 1
    for name in ("vad_timeout", "predict_turn"):
        assert document["baselines"][name]["wait_p50_ms"] > 0
