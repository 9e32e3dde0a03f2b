"""Executes one act at most once: locks in order, its row, policy again, breaker, deadline, and an honest outcome.

    locks ──► begin ──► who has it? ──committed──► its outcome, nothing is sent
                             │ pending
                             ▼
                    policy again ──no──► failed
                             │
                    executing ──► back end ──answer──► committed
                             │           ├──refused──► failed (nothing was done)
                             │           ├──unreached──► failed, or queued: tried again until it is too old
                             │           └──unclear──► unknown ──status──► committed
                             │                              │      └──not there──► sent again under the same key
                             │                              └──cannot be asked──► review: a person looks
                             └── we die: `recover` finds the row and asks the same way

Barge-in and hang-up stop speech, never this: the caller of `run` shields it.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from services.common.clock import Clock
from services.common.errors import DeadlineError, TrunklineError
from services.common.log import get_logger
from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.bundles.contracts import Operation
from services.orchestrator.bundles.model import Tool
from services.orchestrator.control.backend import Answer, BackEndError
from services.orchestrator.control.breaker import Breakers
from services.orchestrator.control.keys import lock_names
from services.orchestrator.control.model import Allowed, Denied, Outcome, Scalar, State
from services.orchestrator.store.effects import EffectRow, EffectStore, HeldEffects, NewEffect

log = get_logger(__name__)

LOCK_WAIT_S = 3.0
STATUS_TIMEOUT_S = 2.0
Recheck = Callable[[], Awaitable[Allowed | Denied]]
# None: a back end that facts come from is away, so nothing can be said yet.
LaterRecheck = Callable[[], Awaitable[Allowed | Denied | None]]


class Operations(Protocol):
    """What the executor asks of a back end (control.backend.BackEnd)."""

    async def one(
        self, operation: Operation, args: Mapping[str, Scalar], timeout_s: float, key: str = ""
    ) -> Answer: ...


class PayloadMismatchError(TrunklineError):
    """The same act was asked for with other arguments: neither is done, a person decides."""


@dataclass(slots=True)
class Executor:
    """One per worker: breakers are shared by its calls."""

    effects: EffectStore
    backend: Operations
    clock: Clock
    breakers: Breakers = field(default_factory=Breakers)

    @classmethod
    def over(cls, effects: EffectStore, backend: Operations, clock: Clock) -> "Executor":
        """With all breakers closed."""
        return cls(effects, backend, clock)

    async def run(self, bundle: Bundle, new: NewEffect, subject: str, recheck: Recheck) -> Outcome:
        """Do it, or say what became of it.

        Raises PayloadMismatchError, and other TrunklineErrors when the database is away before anything was sent.
        """
        tool = bundle.tools[new.tool]
        names = [_own_lock(new.idempotency_key), *lock_names(tool, subject, new.request)]
        try:
            return await self._run(bundle, new, names, recheck)
        except DeadlineError:
            # Whoever holds it may be doing another act under the same key.
            row = await self.effects.last(new.idempotency_key)
            if row is not None and row.state != "failed":
                _same(row, new)
            raise

    async def _run(self, bundle: Bundle, new: NewEffect, names: list[str], recheck: Recheck) -> Outcome:
        """Row, locks and state on one connection: few round trips, and two waits for the disk."""
        tool = bundle.tools[new.tool]
        async with self.effects.locked(names, LOCK_WAIT_S) as held:
            row = await held.begin(new)
            _same(row, new)
            if row.state in ("executing", "unknown"):
                # We hold the act's lock: whoever worked on it is gone.
                row = await self._settle(_Act(bundle, tool, held), row)
            elif row.state in ("pending", "queued"):
                row = await self._first(_Act(bundle, tool, held, may_wait=tool.queues), row, recheck)
            return row.outcome()

    async def again(self, bundle: Bundle, row: EffectRow, recheck: LaterRecheck) -> Outcome:
        """Try an act that waits for its back end; it goes on waiting while that, or what its rules ask, is away."""
        tool = bundle.tools[row.tool]
        async with self.effects.locked(_locks(tool, row, row.subject), LOCK_WAIT_S) as held:
            row = await held.get(row.effect_id)
            if row.state == "queued":
                row = await self._first(_Act(bundle, tool, held, may_wait=True), row, recheck)
            return row.outcome()

    async def give_up(self, bundle: Bundle, row: EffectRow) -> Outcome:
        """An act that has waited too long is not done any more."""
        async with self.effects.locked(_locks(bundle.tools[row.tool], row, row.subject), LOCK_WAIT_S) as held:
            row = await held.get(row.effect_id)
            if row.state == "queued":
                row = await held.move(row, "failed", reason="waited too long")
            return row.outcome()

    async def take_back(self, bundle: Bundle, row: EffectRow, reason: str) -> Outcome:
        """The caller does not want it any more: ended where it still waits, and left alone where it does not."""
        tool = bundle.tools.get(row.tool)
        names = _locks(tool, row, row.subject) if tool is not None else [_own_lock(row.idempotency_key)]
        async with self.effects.locked(names, LOCK_WAIT_S) as held:
            row = await held.get(row.effect_id)
            if row.state == "queued":
                row = await held.move(row, "failed", reason=reason, only=("queued",))
            return row.outcome()

    async def recover(self, bundle: Bundle, row: EffectRow, subject: str) -> Outcome:
        """Settle an attempt that a dead worker, or a lost answer, left open. What was never sent is not sent now."""
        tool = bundle.tools[row.tool]
        async with self.effects.locked(_locks(tool, row, subject), LOCK_WAIT_S) as held:
            row = await held.get(row.effect_id)
            if row.state == "pending":
                # The caller is gone and heard nothing: asking again is theirs.
                row = await held.move(row, "failed", reason="abandoned before it was sent")
            elif row.state in ("executing", "unknown"):
                row = await self._settle(_Act(bundle, tool, held), row)
            return row.outcome()

    async def approved(self, bundle: Bundle, row: EffectRow, recheck: Recheck) -> Outcome:
        """A person approved it: done once, if the rules still let it (`recheck` leaves out what was approved)."""
        tool = bundle.tools[row.tool]
        async with self.effects.locked(_locks(tool, row, row.subject), LOCK_WAIT_S) as held:
            row = await held.get(row.effect_id)
            if row.state == "review" and row.reason.startswith("rule "):
                row = await held.move(row, "pending", reason="approved")
            if row.state == "pending" and row.reason == "approved":
                row = await self._first(_Act(bundle, tool, held), row, recheck)
            return row.outcome()

    async def settle(self, bundle: Bundle, row: EffectRow, state: State, reason: str) -> Outcome:
        """A person decided what became of it, or that it is not done. StoreError: that is decided already."""
        async with self.effects.locked(_locks(bundle.tools[row.tool], row, row.subject), LOCK_WAIT_S) as held:
            row = await held.get(row.effect_id)
            return (await held.move(row, state, reason=reason)).outcome()

    async def _first(self, act: "_Act", row: EffectRow, recheck: LaterRecheck) -> EffectRow:
        verdict = await recheck()
        if verdict is None:
            return await self._not_sent(act, row, "its facts cannot be had")
        if isinstance(verdict, Denied):
            state: State = "review" if verdict.how == "human_review" else "failed"
            return await act.held.move(row, state, reason=f"rule {verdict.rule}")
        breaker = self.breakers.of(row.tool, act.tool)
        if not breaker.admits(self.clock.now_ns()):
            return await self._not_sent(act, row, "breaker open")
        try:
            row = await act.held.move(row, "executing")
            return await self._deliver(act, row, again=False)
        except BaseException:
            # A probe that was cancelled says nothing: its place must not stay taken.
            breaker.abandoned()
            raise

    async def _deliver(self, act: "_Act", row: EffectRow, *, again: bool) -> EffectRow:
        """One delivery under the attempt's key, and what its end means.

        The first time, not reaching the back end means that nothing was done; when something was sent before, only an
        answer or a refusal under the same key settles it.
        """
        breaker = self.breakers.of(row.tool, act.tool)
        try:
            answer = await self.backend.one(act.operation, row.request, act.tool.timeout_ms / 1000, key=row.wire_key)
        except BackEndError as error:
            if error.kind == "refused":
                breaker.succeeded()
                return await act.held.move(row, "failed", reason=f"refused {error.http_status}")
            breaker.failed(self.clock.now_ns())
            if error.kind == "unreached" and not again:
                return await self._not_sent(act, row, "unreached")
            row = await act.held.move(row, "unknown", reason="no clear answer")
            return await self._settle(act, row, may_send=not again)
        breaker.succeeded()
        return await act.held.move(row, "committed", answer=answer)

    @staticmethod
    async def _not_sent(act: "_Act", row: EffectRow, reason: str) -> EffectRow:
        """The back end is away and has nothing of it: it waits, or is over."""
        return await act.held.move(row, "queued" if act.may_wait else "failed", reason=reason)

    async def _settle(self, act: "_Act", row: EffectRow, *, may_send: bool = True) -> EffectRow:
        """Ask what became of it; sent again only once, and only when it is not there and the back end takes our key."""
        if row.state == "executing":
            row = await act.held.move(row, "unknown", reason="left by a worker that is gone")
        if act.tool.status is not None:
            status = act.bundle.contracts[act.tool.status]
            try:
                answer = await self.backend.one(status, {next(iter(status.params)): row.wire_key}, STATUS_TIMEOUT_S)
            except BackEndError as error:
                if error.http_status != 404:
                    log.warning("effect still unknown", tool=row.tool, effect=row.effect_id)
                    # It was asked now: others come first, this one again later.
                    return await act.held.move(row, "unknown", reason="no clear answer")
            else:
                return await act.held.move(row, "committed", answer=answer)
        if act.operation.takes_idempotency_key and not row.erased:
            if not may_send:
                return row
            row = await act.held.move(row, "executing", reason="sent again under its key")
            return await self._deliver(act, row, again=True)
        return await act.held.move(row, "review", reason="nobody can say what became of it")


@dataclass(frozen=True, slots=True)
class _Act:
    """What the steps of one execution share."""

    bundle: Bundle
    tool: Tool
    held: HeldEffects
    # While the back end is away it is kept and tried again (degrade.queue).
    may_wait: bool = False

    @property
    def operation(self) -> Operation:
        """The contract of the write."""
        return self.bundle.contracts[self.tool.contract]


def _same(row: EffectRow, new: NewEffect) -> None:
    if row.request_hash != new.request_hash:
        raise PayloadMismatchError(
            f"{new.tool} was asked for already with other arguments.", remedy="Ask the caller which one is right."
        )


def _own_lock(idempotency_key: str) -> str:
    return f"act {idempotency_key}"


def _locks(tool: Tool, row: EffectRow, subject: str) -> list[str]:
    """The act itself first, then what it touches (unknown when that was erased)."""
    return [_own_lock(row.idempotency_key), *([] if row.erased else lock_names(tool, subject, row.request))]
