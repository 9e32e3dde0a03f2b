"""Headless Chromium for tests: Debian's, driven by Playwright, with a microphone that plays a WAV."""

import asyncio
import contextlib
import shutil
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.async_api import Browser, Page, async_playwright

from tests.web.harness import Site

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)
NEEDS_CHROMIUM = [
    pytest.mark.peer,
    # Real time on shared cores: once more where other work took the machine meanwhile.
    pytest.mark.flaky(reruns=2),
    pytest.mark.slow,
    # One browser serves all tests of the page, so they share one event loop.
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)"),
]


def write_wav(path: Path, hz: float, seconds: float) -> None:
    """Bursts of a tone, half a second on and off."""
    t = np.arange(int(16_000 * seconds)) / 16_000
    pcm = 0.4 * np.sin(2 * np.pi * hz * t) * (t % 1.0 < 0.5)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((pcm * 32767).astype("<i2").tobytes())


@contextlib.asynccontextmanager
async def chromium(microphone: Path, *, allow_microphone: bool = True) -> AsyncIterator[Browser]:
    """A browser with a profile of its own; the microphone plays the file once per call."""
    flags = [*FLAGS, f"--use-file-for-fake-audio-capture={microphone}%noloop"]
    if not allow_microphone:
        flags[flags.index("--use-fake-ui-for-media-stream")] = "--deny-permission-prompts"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=flags)
        try:
            yield browser
        finally:
            await browser.close()


@contextlib.asynccontextmanager
async def open_page(running: Site, browser: Browser, width: int = 1280, height: int = 860) -> AsyncIterator[Page]:
    """Fails on a page error, a console error, or any request to elsewhere."""
    faults: list[str] = []
    context = await browser.new_context(viewport={"width": width, "height": height})
    page = await context.new_page()
    page.set_default_timeout(20_000)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: None if f":{running.web.port}/" in request.url else faults.append(request.url))
    try:
        await page.goto(running.web.url)
        yield page
    finally:
        await context.close()
    assert [fault for fault in faults if "status of 503" not in fault] == []


async def shows(page: Page, expression: str, deadline_s: float = 20.0) -> None:
    """Wait until a JavaScript expression is true. (Playwright's own waiting needs `eval`, which our CSP forbids.)"""
    async with asyncio.timeout(deadline_s):
        while not await page.evaluate(expression):  # noqa: ASYNC110 a page offers no event to wait on
            await asyncio.sleep(0.05)


async def overflow(page: Page) -> int:
    return int(await page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


async def box(page: Page, selector: str) -> Any:
    return await page.evaluate("(s) => document.querySelector(s).getBoundingClientRect().toJSON()", selector)
