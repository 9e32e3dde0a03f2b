"""The page against the whole stack: Chromium says recorded human speech to real models, interrupts, and is answered."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import numpy as np
import pytest

from services.cli.clips import by_name, human_speech
from services.common.models import ModelStore
from services.common.settings import load_settings
from tests.web.browser import NEEDS_CHROMIUM, chromium, shows

READY_DEADLINE_S = 150.0
RATE_HZ = 16_000
CLIP = "librivox/sense_and_sensibility_01_austen_64kb-0930.wav"
pytestmark = [*NEEDS_CHROMIUM, pytest.mark.models, pytest.mark.timeout(300)]


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def stack(data_dir: Path) -> AsyncIterator[int]:
    """`trunkline up` on free ports; gives the web port once the stack is ready."""
    web = free_port()
    settings = [f"web.port={web}", f"data_dir={data_dir}", f"telephony.sip.port={free_port(socket.SOCK_DGRAM)}"]
    for name in ("vad", "asr", "llm", "tts", "telephony"):
        settings += [f"{name}.port={free_port()}", f"{name}.metrics_port=0"]
    settings += ["orchestrator.metrics_port=0", "telephony.sip.rtp_ports=27000,27400"]
    argv = [part for setting in settings for part in ("--set", setting)]
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "trunkline"),
        "up",
        *argv,
        start_new_session=True,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(READY_DEADLINE_S), aiohttp.ClientSession() as http:
            while not await ready(http, web):
                assert process.returncode is None, "the stack did not start"
                await asyncio.sleep(0.5)
        yield web
    finally:
        if process.returncode is None:
            os.kill(process.pid, signal.SIGINT)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(40):
                await process.wait()
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)


async def ready(http: aiohttp.ClientSession, port: int) -> bool:
    with contextlib.suppress(aiohttp.ClientError):
        async with http.get(f"http://127.0.0.1:{port}/readyz") as response:
            return response.status == 200
    return False


async def test_a_person_interrupts_the_greeting_and_is_answered_on_the_page(tmp_path: Path) -> None:
    (clip,) = by_name(human_speech(ModelStore(load_settings(env={}).models)), CLIP)
    speech = clip.at(RATE_HZ).pcm
    microphone = tmp_path / "speech.wav"
    with wave.open(str(microphone), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        quiet = [np.zeros(int(RATE_HZ * s), np.int16) for s in (2.2, 60)]
        file.writeframes(np.concatenate([quiet[0], speech, quiet[1]]).astype("<i2").tobytes())
    shots = os.environ.get("TRUNKLINE_SCREENSHOTS", "")
    async with stack(tmp_path / "data") as port, chromium(microphone) as browser:
        page = await browser.new_page(viewport={"width": 1280, "height": 860})
        page.set_default_timeout(60_000)
        await page.goto(f"http://localhost:{port}/")
        await shows(page, "document.querySelector('#models').textContent.includes('whisper')")
        await page.click("#talk")
        await page.wait_for_selector(".agent[data-state=cut] .cutmark:not([hidden])")
        greeting = page.locator(".agent[data-reply=greeting]")
        assert await greeting.locator(".spoken").inner_text() != ""
        assert await greeting.locator(".ahead").inner_text() != ""
        await page.wait_for_selector(".caller[data-state=final]")
        said = (await page.locator(".caller .stable").first.inner_text()).lower()
        assert len(set(clip.text.lower().split()) & set(said.replace(",", "").replace(".", "").split())) >= 3
        await page.wait_for_selector(".timing .fill i")
        assert int(await page.inner_text("#v2v-last")) > 0
        assert (await page.inner_text("#barge-last")).endswith(" ms")
        assert await page.locator(".agent:not([data-reply=greeting]) .spoken").first.inner_text() != ""
        if shots:
            await page.screenshot(path=Path(shots) / "real-stack.png")
        await page.click("#hang")
        await page.wait_for_selector("#finished")
