"""A person's decision carried out: approved acts are done once, under the rules as they are now; the rest is told.

What the reviewer saw is bound by its hash. Between asking and approving the world moves: every rule is weighed again on
fresh facts, all but the one that was approved, and another rule may send it to a person again.
"""

from collections.abc import Awaitable, Callable
from typing import Literal

from services.common.errors import TrunklineError
from services.common.log import get_logger
from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.control.again import weigh_again
from services.orchestrator.control.model import Allowed, Denied, Outcome, State
from services.orchestrator.control.room import ControlRoom
from services.orchestrator.store.callbacks import CallbackStore, Why
from services.orchestrator.store.effects import EffectRow
from services.orchestrator.store.reviews import Review, ReviewError, ReviewStore

log = get_logger(__name__)
LoadBundle = Callable[[str], Awaitable[Bundle]]


class Reviewing:
    """Over the stores; `load` gives the bundle that the act was judged by."""

    def __init__(
        self, room: ControlRoom, reviews: ReviewStore, callbacks: CallbackStore, load: LoadBundle, review_s: float
    ) -> None:
        self._room, self._load, self._review_s = room, load, review_s
        self.reviews, self.callbacks = reviews, callbacks

    async def bundle_of(self, row: EffectRow) -> Bundle:
        """The version that an act was judged by. Raises TrunklineError when it is not there, or not to be trusted."""
        return await self._load(row.agent_digest)

    async def approve(self, review: Review, reviewer: str, request_hash: str, note: str = "") -> Outcome:
        """Record the decision, then do it. Raises ReviewError when the decision does not count."""
        if not review.rule:
            raise ReviewError(
                "review", expected="an act that a rule held back", got="one whose outcome nobody knows",
                remedy="Find out at the back end, then `trunkline review settle --done` or `--not-done`.",
            )  # fmt: skip
        bundle = await self._load(review.agent_digest)
        self._room.require_backend(bundle.agent.id)
        return await self.follow_up(await self.reviews.decide(review, "approved", reviewer, request_hash, note))

    async def refuse(self, review: Review, reviewer: str, request_hash: str, note: str = "") -> Outcome:
        """It is not done, and the caller is told. For an unknown outcome that is `settle`'s to say."""
        if not review.rule:
            raise ReviewError(
                "review", expected="an act that a rule held back", got="one whose outcome nobody knows",
                remedy="`trunkline review settle --done` or `--not-done`.",
            )  # fmt: skip
        return await self.follow_up(await self.reviews.decide(review, "refused", reviewer, request_hash, note))

    async def settle(self, review: Review, reviewer: str, request_hash: str, *, done: bool, note: str = "") -> Outcome:
        """A person found out what became of an act; nothing is sent. `approved` stands for: it was done."""
        if review.rule:
            raise ReviewError(
                "review", expected="an act whose outcome nobody knows", got="one that was never sent",
                remedy="`trunkline review approve` or `refuse`.",
            )  # fmt: skip
        decision: Literal["approved", "refused"] = "approved" if done else "refused"
        return await self.follow_up(await self.reviews.decide(review, decision, reviewer, request_hash, note))

    async def follow_up(self, review: Review) -> Outcome:
        """What a decision leads to. May be repeated: whoever decided may have died before it was done."""
        row = await self._room.effects.get(review.effect_id)
        assert row is not None  # reviews refer to effects
        bundle = await self._load(row.agent_digest)
        backend = self._room.backend(bundle.agent.id)
        executor = self._room.executor(backend)
        if review.decision == "approved" and review.rule:
            outcome = await executor.approved(bundle, row, self._recheck(bundle, row, review.rule))
        elif row.state != "review":
            outcome = row.outcome()
        else:
            state: State = "committed" if review.decision == "approved" else "failed"
            reason = f"{review.decision} by a person" if review.decision != "expired" else "review expired"
            outcome = await executor.settle(bundle, row, state, reason)
        await self._after(review, outcome)
        return outcome

    async def ask_again(self, row: EffectRow) -> Review:
        """Put an effect before people (again)."""
        return await self.reviews.ask(row, f"call {row.call_id}", self._review_s)

    async def _after(self, review: Review, outcome: Outcome) -> None:
        if outcome.state == "review":
            row = await self._room.effects.get(review.effect_id)
            if row is not None:
                await self.ask_again(row)
            return
        why: Why = review.decision or "settled"
        await self.callbacks.promise(review.effect_id, why, outcome.state, outcome.reason)
        log.info("review followed up", review=review.review_id, decision=review.decision, state=outcome.state)

    def _recheck(self, bundle: Bundle, row: EffectRow, rule: str) -> Callable[[], Awaitable[Allowed | Denied]]:
        async def recheck() -> Allowed | Denied:
            try:
                verdict, _ = await weigh_again(self._room, bundle, row, frozenset({rule}))
            except TrunklineError:
                return Denied(rule, "human_review", None)
            return verdict

        return recheck
