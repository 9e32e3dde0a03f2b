"""Engine actions as bounded tasks: the legs decide, this carries out, and tells the worker what did not work."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, Final, Protocol

from services.common.clock import Clock
from services.common.log import get_logger
from services.common.personal import Personal
from services.telephony.admission import TokenBucket
from services.telephony.engine import Engine, EngineError
from services.telephony.leg_types import Act, Action
from services.telephony.metrics import RATE_WAIT
from services.telephony.refusals import Refused

log = get_logger(__name__)

_MAX_TASKS: Final = 1024


class Host(Protocol):
    """What the worker offers to its actions."""

    def handle_of(self, leg_id: int) -> int | None: ...
    def clear(self, leg_id: int) -> None: ...
    def dialed(self, dial_id: int, handle: int) -> None: ...
    def dial_failed(self, dial_id: int, message: str) -> None: ...
    def transferring_to(self, leg_id: int, handle: int) -> None: ...
    def action_failed(self, leg_id: int, command: str, message: str) -> None: ...
    def rate_refused(self, leg_id: int) -> None: ...


class Actions:
    """Runs actions; those of one leg reach the stack in the order they were given."""

    def __init__(self, engine: Engine, clock: Clock, bucket: TokenBucket, host: Host) -> None:
        self._engine = engine
        self._clock = clock
        self._bucket = bucket
        self._host = host
        self._tasks: set[asyncio.Task[None]] = set()

    def do(self, leg_id: int, action: Action) -> None:
        """Begin one action of a leg."""
        handle = self._host.handle_of(leg_id)
        if action.act is Act.CLEAR:
            self._host.clear(leg_id)
        elif handle is None:
            self._host.action_failed(leg_id, action.act.value, "the call has ended")
        elif not self._spawn(self._run(leg_id, handle, action)):
            self._host.action_failed(leg_id, action.act.value, "the worker is busy")

    def dial(self, dial_id: int, target: Personal[str], headers: Mapping[str, Personal[str]]) -> bool:
        """Begin a dial; False when too much is under way."""
        return self._spawn(self._dial(dial_id, target, headers))

    def reject_unseen(self, handle: int, refused: Refused) -> None:
        """Refuse a call that never became a leg."""
        self._spawn(self._reject(handle, refused))

    async def close(self) -> None:
        """Cancel what is under way."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    # ---- inner parts ----

    def _spawn(self, work: Coroutine[Any, Any, None]) -> bool:
        if len(self._tasks) >= _MAX_TASKS:
            work.close()
            return False
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return True

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("engine action failed unexpectedly", error=type(error).__name__, exc_info=error)

    async def _paced(self) -> bool:
        """Wait for a slot of the rate limit; False when there is none in time."""
        now_ns = self._clock.now_ns()
        wait_ns = self._bucket.reserve(now_ns)
        if wait_ns is None:
            return False
        RATE_WAIT.observe(wait_ns / 1e9)
        if wait_ns:
            await self._clock.sleep_until_ns(now_ns + wait_ns)
        return True

    async def _run(self, leg_id: int, handle: int, action: Action) -> None:
        try:
            if action.act is Act.ANSWER and not await self._paced():
                self._host.rate_refused(leg_id)
                return
            await self._engine_call(leg_id, handle, action)
        except EngineError as error:
            self._host.action_failed(leg_id, action.act.value, str(error))

    async def _engine_call(self, leg_id: int, handle: int, action: Action) -> None:
        engine = self._engine
        match action.act:
            case Act.ANSWER:
                await engine.answer(handle)
            case Act.REJECT:
                await engine.reject(handle, action.refused)
            case Act.HANGUP:
                await engine.hangup(handle)
            case Act.HOLD | Act.RESUME:
                await engine.hold(handle, action.act is Act.HOLD)
            case Act.DTMF:
                await engine.send_dtmf(handle, action.text or Personal(""))
            case Act.TRANSFER if action.consult_leg_id:
                consult = self._host.handle_of(action.consult_leg_id)
                if consult is None or consult == handle:
                    raise EngineError("consult_leg_id: expected another leg of this worker that is established")
                await engine.attended_transfer(handle, consult)
            case Act.TRANSFER:
                await engine.transfer(handle, action.text or Personal(""))
            case Act.ACCEPT_TRANSFER:
                self._host.transferring_to(leg_id, await engine.accept_transfer(handle))
            case Act.REJECT_TRANSFER:
                await engine.reject_transfer(handle)

    async def _dial(self, dial_id: int, target: Personal[str], headers: Mapping[str, Personal[str]]) -> None:
        if not await self._paced():
            self._host.dial_failed(dial_id, "too many calls at once")
            return
        try:
            handle = await self._engine.dial(target, headers)
        except EngineError as error:
            self._host.dial_failed(dial_id, str(error))
            return
        self._host.dialed(dial_id, handle)

    async def _reject(self, handle: int, refused: Refused) -> None:
        try:
            await self._engine.reject(handle, refused)
        except EngineError:
            log.debug("refused call was gone already")
