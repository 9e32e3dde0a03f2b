"""Settles what was left: acts of dead workers and lost answers, queued acts, expired reviews. A loop in every worker.

Workers may do it side by side: each act is held by its locks while it is settled, and each expiry is taken by one.
"""

from services.common.clock import Clock, sleep_s
from services.common.errors import TrunklineError
from services.common.log import get_logger
from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.control.again import weigh_again
from services.orchestrator.control.execute import LaterRecheck
from services.orchestrator.control.model import Allowed, Denied
from services.orchestrator.control.review import LoadBundle, Reviewing
from services.orchestrator.control.room import ControlRoom
from services.orchestrator.control.withdraw import TAKEN_BACK
from services.orchestrator.store.effects import EffectRow

log = get_logger(__name__)


class Recovery:
    """`sweep` once, or `run` until cancelled."""

    def __init__(
        self, room: ControlRoom, reviewing: Reviewing, load: LoadBundle, left_open_s: float, queue_s: float
    ) -> None:
        """`queue_s`: an act whose back end stays away is given up after that, or its idempotency window."""
        self._room, self._reviewing, self._load = room, reviewing, load
        self._left_open_s, self._queue_s = left_open_s, queue_s
        self._away = False

    async def run(self, clock: Clock, every_s: float) -> None:
        """Until cancelled; a database that is away is waited for, and said once."""
        while True:
            try:
                await self.sweep()
                self._away = False
            except TrunklineError as error:
                if not self._away:
                    log.error("acts cannot be settled now", error=type(error).__name__, reason=error.message)
                self._away = True
            await sleep_s(clock, every_s)

    async def sweep(self) -> int:
        """How many acts and reviews were looked at. Raises TrunklineError when the database is away."""
        effects, reviewing = self._room.effects, self._reviewing
        left = await effects.left_open(self._left_open_s)
        for row in left:
            await self._one(row)
        queued = await effects.queued()
        for row, age_s in queued:
            await self._again(row, age_s)
        lost = await effects.in_review_without_one()
        for row in lost:
            await reviewing.ask_again(row)
        decided = [*await reviewing.reviews.expire(), *await reviewing.reviews.unfinished(self._left_open_s)]
        for review in decided:
            try:
                await reviewing.follow_up(review)
            except TrunklineError as error:
                log.warning("review not followed up yet", review=review.review_id, error=type(error).__name__)
        return len(left) + len(queued) + len(lost) + len(decided)

    async def _again(self, row: EffectRow, age_s: float) -> None:
        """An act that waits for its back end: tried, or given up; the caller, who was told that it waits, is called."""
        try:
            bundle = await self._load(row.agent_digest)
            executor = self._room.executor(self._room.backend(bundle.agent.id))
            window = bundle.tools[row.tool].idempotency
            if age_s > min(self._queue_s, window.window_s if window is not None else self._queue_s):
                outcome = await executor.give_up(bundle, row)
            else:
                outcome = await executor.again(bundle, row, self._recheck(bundle, row))
        except TrunklineError as error:
            log.warning("act not tried yet", effect=row.effect_id, tool=row.tool, error=type(error).__name__)
            return
        if outcome.reason == TAKEN_BACK:
            # While we waited for it; whoever took it back knows.
            return
        if outcome.state in ("committed", "failed"):
            await self._reviewing.callbacks.promise(row.effect_id, "settled", outcome.state, outcome.reason)
            log.info("act that waited ended", effect=row.effect_id, tool=row.tool, state=outcome.state)

    def _recheck(self, bundle: Bundle, row: EffectRow) -> LaterRecheck:
        async def recheck() -> Allowed | Denied | None:
            verdict, away = await weigh_again(self._room, bundle, row)
            return None if away and isinstance(verdict, Denied) else verdict

        return recheck

    async def _one(self, row: EffectRow) -> None:
        try:
            if row.state == "pending" and row.reason == "approved":
                # Whoever approved it died before it was sent.
                review = await self._reviewing.reviews.approved_for(row.effect_id)
                if review is not None:
                    await self._reviewing.follow_up(review)
                return
            bundle = await self._load(row.agent_digest)
            executor = self._room.executor(self._room.backend(bundle.agent.id))
            outcome = await executor.recover(bundle, row, row.subject)
        except TrunklineError as error:
            # Its bundle cannot be loaded, somebody holds it, a key is missing: others must not wait for that.
            log.warning("act not settled yet", effect=row.effect_id, tool=row.tool, error=type(error).__name__)
            return
        if row.state == "pending":
            # Nothing was ever sent and nobody was told of it.
            return
        if outcome.state in ("committed", "failed"):
            await self._reviewing.callbacks.promise(row.effect_id, "settled", outcome.state, outcome.reason)
            log.info("act settled", effect=row.effect_id, tool=row.tool, state=outcome.state)
