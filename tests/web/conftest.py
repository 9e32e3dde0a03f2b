"""One Chromium for all tests of the page: starting it takes longer than most of them."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.web.browser import chromium, write_wav


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    """Its microphone plays bursts of 600 Hz."""
    microphone = tmp_path_factory.mktemp("microphone") / "bursts.wav"
    write_wav(microphone, 600, 20)
    async with chromium(microphone) as running:
        yield running
