"""The page in a real browser, against a fake brain: what a caller sees, hears, presses and is told."""

import asyncio
from pathlib import Path

import numpy as np
from playwright.async_api import Browser

from services.common.clock import SystemClock
from tests.web.browser import NEEDS_CHROMIUM, box, chromium, open_page, overflow, shows, write_wav
from tests.web.harness import power_at, site, until
from tests.web.scripted_brain import ScriptedBrain

pytestmark = NEEDS_CHROMIUM


async def test_a_caller_talks_interrupts_and_sees_where_the_time_went(browser: Browser) -> None:
    async with site() as running, open_page(running, browser) as page:
        assert "none" in await page.inner_text("#models")
        await page.click("#talk")
        await until(lambda: running.calls and running.calls[0].established.is_set())
        fake = running.calls[0]
        brain = ScriptedBrain(fake, SystemClock().now_ns, pace=0.35)
        talk = asyncio.create_task(brain.converse())
        await page.wait_for_selector(".caller .unstable:not(:empty)")
        await page.wait_for_selector(".agent[data-state=speaking]")
        await page.wait_for_selector(".agent[data-state=cut] .cutmark:not([hidden])")
        cut = page.locator(".agent[data-state=cut]")
        assert (
            await cut.locator(".spoken").inner_text() == "Let me see. Your order left our warehouse on Monday, and the"
        )
        assert (await cut.locator(".ahead").inner_text()).startswith("carrier expects")
        await shows(page, "document.querySelector('.cutmark:not([hidden])').textContent.includes('148 ms')")
        assert await page.inner_text("#barge-last") == "148 ms"
        await talk
        await shows(page, "document.querySelectorAll('.timing').length === 3")
        assert await page.inner_text("#v2v-last") == "551"
        assert await page.inner_text("#v2v-p50") == "612 ms"
        assert await page.inner_text("#v2v-p95") == "934 ms"
        bar = await page.locator(".timing .bar").first.get_attribute("aria-label")
        assert bar == "end of turn 262 ms, hearing 39 ms, thinking 211 ms, speaking 78 ms, sending 22 ms"
        spoken = [await row.inner_text() for row in await page.query_selector_all(".caller .words")]
        assert spoken[0] == "I would like to know where my order is, I ordered it two weeks ago."
        assert "mm-hm" in spoken
        await page.locator(".timing summary").first.click()
        assert "First token" in await page.locator(".timing dl").first.inner_text()
        # The microphone reached the server, and the agent's tone reached the page.
        heard = np.frombuffer(bytes(fake.heard), dtype="<i2")
        loud = heard[np.argmax(np.abs(heard) > 3000) :][:4000]
        assert power_at(loud, 16_000, 600) > 0.8
        await page.click("#hang")
        await page.wait_for_selector("#finished")
        await until(fake.gone.is_set)
        assert await page.inner_text("#phase-text") == "Call ended"


async def test_keys_and_mute_reach_the_call(browser: Browser) -> None:
    async with site() as running, open_page(running, browser) as page:
        await page.click("#talk")
        await until(lambda: running.calls and running.calls[0].established.is_set())
        fake = running.calls[0]
        await page.wait_for_selector("#dock:not([hidden])")
        await page.click("#keys")
        await page.click(".key >> text=5")
        await page.keyboard.press("#")
        await shows(page, "document.querySelector('.line.note')?.textContent.includes('Key 5 #')")
        await page.click("#mute")
        assert await page.get_attribute("#mute", "aria-pressed") == "true"
        at = len(fake.heard)
        await until(lambda: len(fake.heard) > at + 2 * 16_000 * 2)
        # Packets go on while muted, and they are silent.
        assert np.abs(np.frombuffer(bytes(fake.heard[at + 16_000 :]), dtype="<i2")).max() < 100


async def test_the_page_says_so_when_the_call_ends_on_the_servers_side(browser: Browser) -> None:
    async with site() as running, open_page(running, browser) as page:
        await page.click("#talk")
        await until(lambda: running.calls and running.calls[0].established.is_set())
        await page.wait_for_selector("#dock:not([hidden])")
        running.calls[0].leg.hangup()
        await page.wait_for_selector("#finished")
        await page.click("#finished .talk")
        await until(lambda: len(running.calls) == 2 and running.calls[1].established.is_set())


async def test_a_busy_server_is_said_with_what_to_do(browser: Browser) -> None:
    async with site() as running, open_page(running, browser) as page:
        running.registry.set_ready("asr is loading")
        await page.click("#talk")
        await page.wait_for_selector("#trouble:not([hidden])")
        assert await page.inner_text("#trouble-title") == "Not ready for calls"
        assert "asr is loading" in await page.inner_text("#trouble-text")
        assert await page.is_disabled("#trouble-retry")


async def test_a_refused_microphone_is_said_with_what_to_do(tmp_path: Path) -> None:
    write_wav(tmp_path / "mic.wav", 600, 1)
    async with (
        site() as running,
        chromium(tmp_path / "mic.wav", allow_microphone=False) as denying,
        open_page(running, denying) as page,
    ):
        await page.click("#talk")
        await page.wait_for_selector("#trouble:not([hidden])")
        assert await page.inner_text("#trouble-title") == "The microphone is blocked"
        assert running.calls == []


async def test_nothing_overflows_or_overlaps_on_phone_tablet_or_desktop(browser: Browser) -> None:
    async with site() as running, open_page(running, browser, 360, 640) as page:
        assert await overflow(page) == 0
        await page.click("#talk")
        await until(lambda: running.calls and running.calls[0].established.is_set())
        await page.wait_for_selector("#dock:not([hidden])")
        await ScriptedBrain(running.calls[0], SystemClock().now_ns, pace=0.02).converse()
        await shows(page, "document.querySelectorAll('.timing').length === 3")
        for width, height in ((360, 640), (768, 1024), (1440, 900)):
            await page.set_viewport_size({"width": width, "height": height})
            assert await overflow(page) == 0
            dock = await box(page, "#dock")
            assert dock["bottom"] <= height
            # The last line can be read above the dock, and the dock lies beside the panel or over nothing.
            await page.evaluate("window.scrollTo(0, document.documentElement.scrollHeight)")
            assert (await box(page, ".line:last-child"))["bottom"] <= dock["top"]
            panel = await box(page, ".panel")
            assert dock["right"] <= panel["left"] or panel["bottom"] <= dock["top"] or width == 768
            for name in ("#mute", "#hang", "#keys"):
                assert (await box(page, name))["height"] >= 44
