"""What a model still writes while its first sentence is said: sentence by sentence, until it ends or is not wanted.

Each goes through the claim guard alone and together with what was said before it, for a claim may be made in two
sentences. The first that does not pass ends the flow. It ends too when the caller speaks: then the model is told to
stop, and a sentence that is ready already is not said.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from services.common.errors import TrunklineError
from services.common.log import get_logger

log = get_logger(__name__)


class Flow:
    """Of one turn. `said`: what passed so far. `hushed`: the caller speaks; `refused`: a sentence did not pass."""

    def __init__(self, turn: int) -> None:
        self.turn = turn
        self.said = ""
        self.hushed = False
        self.refused = False
        self._waiting: asyncio.Task[str | None] | None = None

    @property
    def over(self) -> bool:
        """No more of it is said."""
        return self.hushed or self.refused

    def passed(self, text: str, guard: Callable[[str], str]) -> str:
        """`text` when it may be said; empty when it may not, and nothing after it."""
        if self.over:
            return ""
        together = f"{self.said} {text}".strip()
        if not guard(text) or (self.said and not guard(together)):
            self.refused = True
            return ""
        self.said = together
        return text

    def hush(self) -> None:
        """The caller speaks: the model need not go on."""
        self.hushed = True
        if self._waiting is not None:
            self._waiting.cancel()

    async def run(self, rest: AsyncGenerator[str, None], say: Callable[[str], Awaitable[None]]) -> None:
        """Hand each further sentence to `say`. Returns when the model has ended or the flow was stopped."""
        async with aclosing(rest):
            while not self.over:
                self._waiting = asyncio.ensure_future(_next(rest))
                try:
                    sentence = await self._waiting
                except TrunklineError as error:
                    log.warning("the model broke off", error=type(error).__name__)
                    return
                except asyncio.CancelledError:
                    if self.hushed:
                        return
                    raise
                finally:
                    self._waiting = None
                if sentence is None or self.over:
                    return
                await say(sentence)


async def _next(rest: AsyncGenerator[str, None]) -> str | None:
    return await anext(rest, None)
