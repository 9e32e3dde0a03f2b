"""The commands as people run them: a stack brought up, called, measured, hurt, and stopped with Ctrl-C."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from services.cli.clips import SPEECH_SET
from services.cli.stack import ports_in_use, ports_needed, sip_uri, web_url
from services.common.errors import MissingModelError
from services.common.models import ModelStore
from services.common.settings import load_settings
from tests.bench.scripted_stack import isolated

READY_S = 90.0


def speech(*names: str) -> list[str]:
    try:
        folder = ModelStore(load_settings().models).path(SPEECH_SET)
    except MissingModelError as error:
        pytest.skip(str(error))
    return [argument for name in names for argument in ("--wav", str(folder / name))]


async def trunkline(*arguments: str, deadline_s: float = 120.0) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.cli.main",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), deadline_s)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    return process.returncode or 0, out.decode(), err.decode()


class Up:
    """`trunkline up --json` as a child; its lines are read one by one."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.pids: dict[str, int] = {}

    async def until(self, wanted: dict[str, Any]) -> None:
        assert self.process.stdout is not None
        async with asyncio.timeout(READY_S):
            async for raw in self.process.stdout:
                line = json.loads(raw)
                if line.get("pid"):
                    self.pids[line["service"]] = line["pid"]
                if wanted.items() <= line.items():
                    return
        raise AssertionError(f"the stack ended before {wanted}")


@contextlib.asynccontextmanager
async def up(sets: list[str]) -> AsyncIterator[Up]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.cli.main", "up", "--json", *sets, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield Up(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await asyncio.wait_for(process.wait(), 60)


def size(path: str) -> int:
    return Path(path).stat().st_size


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


# Real time on shared cores: once more where other work took the machine meanwhile.
@pytest.mark.flaky(reruns=2)
@pytest.mark.slow
@pytest.mark.models
@pytest.mark.timeout(420)
async def test_a_stack_is_brought_up_called_measured_hurt_and_stopped_with_nothing_left() -> None:
    wavs = speech("cards/001.wav", "cards/003.wav")
    with tempfile.TemporaryDirectory(prefix="tl") as folder:
        launch = isolated(Path(folder))
        sets = [part for pair in launch.overrides for part in ("--set", pair)]
        async with up(sets) as stack:
            await stack.until({"event": "ready", "web": web_url(launch.settings), "sip": sip_uri(launch.settings)})

            code, out, err = await trunkline("call", sip_uri(launch.settings), *wavs, "--json", *sets)
            assert code == 0, err
            heard = json.loads(out)
            assert [turn["heard"] for turn in heard["turns"]] == ["this is a scripted transcript"] * 2

            code, out, err = await trunkline(
                "call", f"webrtc:{web_url(launch.settings)}", *wavs[:2], "--json", "--record", f"{folder}/w.wav", *sets
            )
            assert code == 0, err
            assert json.loads(out)["transport"] == "webrtc"
            assert size(f"{folder}/w.wav") > 10_000

            report, page = Path(folder) / "b.json", Path(folder) / "b.html"
            sizes = ("--sweep", "1,2", "--turns", "2", "--barge-in-every", "2", "--warmup", "0")
            scripts = ("--transport", "sip,webrtc", "--script", "coughs")
            code, out, err = await trunkline(
                "bench", *sizes, *scripts, "--out", str(report), "--html", str(page), *sets
            )
            assert code == 0, err
            document = json.loads(report.read_text())
            assert document["complete"]
            assert [(c["cell"]["transport"], c["cell"]["calls"]) for c in document["cells"]] == [
                (transport, calls) for transport in ("sip", "webrtc") for calls in (1, 2)
            ]
            assert sum(cell["stages"]["voice_to_voice"]["n"] for cell in document["cells"]) >= 6
            assert document["models"]["llm"]["engine"] == "scripted"
            assert {"vad", "asr", "llm", "tts", "telephony", "orchestrator"} <= set(document["cells"][0]["processes"])
            assert "<svg" in page.read_text()
            assert "data:audio/wav;base64," in page.read_text()

            killed = stack.pids["llm"]
            os.kill(killed, signal.SIGKILL)
            await stack.until({"service": "llm", "state": "restarting"})
            await stack.until({"service": "llm", "state": "ready"})

            stack.process.send_signal(signal.SIGINT)
            async with asyncio.timeout(60):
                await stack.process.communicate()
            assert stack.process.returncode == 0
            assert all(gone(pid) for pid in stack.pids.values())
            assert ports_in_use(ports_needed(launch.settings, list(stack.pids))) == []


# Real time on shared cores: once more where other work took the machine meanwhile.
@pytest.mark.flaky(reruns=2)
@pytest.mark.slow
@pytest.mark.models
@pytest.mark.timeout(420)
async def test_the_demo_of_recordings_with_real_models_ends_with_status_zero_because_the_caller_heard_answers() -> None:
    speech("cards/001.wav")
    with tempfile.TemporaryDirectory(prefix="tl") as folder:
        launch = isolated(Path(folder))
        # All of the scripted stack's settings but its places: the models are real, in their own sizes.
        mine = [
            p for p in launch.overrides if ".engine=" not in p and not p.startswith(("agent.", "llm.max", "llm.slots"))
        ]
        sets = [part for pair in mine for part in ("--set", pair)]
        code, out, err = await trunkline("demo", "--recordings", "--once", *sets, deadline_s=400)
        assert code == 0, out + err
        assert "The caller heard an answer to everything it said." in out
        assert "the caller interrupts" in out
        assert size(f"{folder}/demo.wav") > 10_000
