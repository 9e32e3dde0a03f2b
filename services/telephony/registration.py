"""Keeps a trunk's registration: the stack refreshes one that stands, this asks again for one that was refused."""

import asyncio

from baresip import UserAgent
from baresip.errors import BaresipError, RegistrationError

from services.common.clock import Clock, sleep_s
from services.common.log import get_logger

log = get_logger(__name__)

_FIRST_PAUSE_S = 2.0
_LONGEST_PAUSE_S = 60.0


class Registration:
    """One account's registration; a refusal does not keep the worker from taking calls."""

    def __init__(self, agent: UserAgent, clock: Clock) -> None:
        self._agent = agent
        self._clock = clock
        self.stands = False
        self._task = asyncio.create_task(self._run())

    def changed(self, stands: bool) -> None:
        """The stack reported an outcome, of a refresh too."""
        if stands != self.stands:
            log.info("registration changed", registered=stands)
        self.stands = stands

    async def close(self) -> None:
        """Stop asking, and take the binding back."""
        self._task.cancel()
        await asyncio.wait({self._task})
        if self.stands:
            await self._agent.unregister(timeout=2.0)

    async def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self.stands:
            try:
                await self._agent.register()
                return
            except RegistrationError as error:
                log.warning("registration failed", sip_status=error.status, retry_in_s=pause_s)
            except BaresipError as error:
                log.warning("registration failed", error=type(error).__name__, retry_in_s=pause_s)
            await sleep_s(self._clock, pause_s)
            pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)
