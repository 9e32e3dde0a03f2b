"""The control layer of one call: the only door from a dialogue to systems of record. Thin: each step is its own part.

    Read ─────► policy ─► breaker, deadline, cache ─► ReadDone
    Judge ────► evidence ─► facts fetched here ─► policy ─► Judged (to a person: a review is asked for)
    Perform ──► evidence ─► heard confirmation ─► Executor (policy again, on fresh facts) ─► EffectDone
    Say ──────► ground / claim guard ─► words

What the caller and a model say never decides: arguments of the caller's identity are put in here, facts are fetched
here, and what was read back is compared with what is done.
"""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from services.common.errors import DeadlineError, TrunklineError
from services.common.log import get_logger
from services.common.personal import Personal
from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.control.backend import BackEndError
from services.orchestrator.control.claims import Supported, check
from services.orchestrator.control.confirm import Confirmations, reads_back
from services.orchestrator.control.execute import PayloadMismatchError
from services.orchestrator.control.facts import Caller
from services.orchestrator.control.ground import Speaker, UngroundedError, fallback, ground
from services.orchestrator.control.identity import Identity
from services.orchestrator.control.keys import business_key, request_hash
from services.orchestrator.control.ledger import Ledger
from services.orchestrator.control.model import Allowed, Denied, Outcome, Proposal, Rejected, Scalar
from services.orchestrator.control.reader import Reader
from services.orchestrator.control.reread import Reread
from services.orchestrator.control.room import ControlRoom
from services.orchestrator.control.trail import Trail
from services.orchestrator.control.weigh import Weighed, Weigher
from services.orchestrator.control.withdraw import TAKEN_BACK, take_back, waiting_acts
from services.orchestrator.dialogue.model import (
    EffectDone,
    FindWaiting,
    Identified,
    Judge,
    Judged,
    Perform,
    Read,
    ReadDone,
    Say,
    TakeBack,
    TakenBack,
    WaitingFound,
)
from services.orchestrator.store.call_keys import KnownCaller
from services.orchestrator.store.effects import NewEffect

if TYPE_CHECKING:
    from services.orchestrator.dialogue.ports import Control

log = get_logger(__name__)


class ControlLayer:
    """One per call. Every method answers; what goes wrong is an answer too, never an exception but cancellation."""

    def __init__(
        self, room: ControlRoom, bundle: Bundle, call_id: str, caller: Caller, locale: str, speaker: Speaker
    ) -> None:
        """`locale`: of the call, one of the bundle's; `speaker`: its pack."""
        self._room, self._bundle, self._call_id = room, bundle, call_id
        self.caller, self._locale, self._speaker = caller, locale, speaker
        self.ledger = Ledger()
        backend = room.backend(bundle.agent.id)
        self._executor = room.executor(backend)
        self._reader = Reader(bundle, backend, room.breakers, room.clock)
        self._policy = room.policy(bundle)
        self._identity = Identity(bundle, caller, self._reader)
        reread = Reread(bundle, locale, lambda: room.clock.wall().date())
        self._weigher = Weigher(bundle, self._policy, caller, self.ledger, self._reader, reread, self._read_records)
        self._confirmations = Confirmations()
        self._trail = Trail(room.audit, room.clock, call_id, bundle.digest)
        self._asked: tuple[int, Proposal] | None = None
        self._begun = set[str]()
        self._secret = room.effects.keys.secret

    # ---- who calls

    async def recognise(self) -> Identified:
        """At the start of a call: whose number it is."""
        how = await self._identity.by_number()
        self._trail.note("control.identify", {"by": "number", "result": how}, self.caller.subject)
        return await self._known(how)

    async def identify(self, keys: Personal[str]) -> Identified:
        """By a secret that was keyed; "locked": no more tries in this call."""
        how = await self._identity.by_keys(keys)
        self._trail.note("control.identify", {"by": "keys", "result": how}, self.caller.subject)
        return await self._known(how)

    async def restore(self, records: Mapping[str, Sequence[Mapping[str, Scalar]]]) -> None:
        """Another worker had the call up to here: what was read, what was done, and who calls are known again."""
        for tool, known in records.items():
            self.ledger.read(tool, known)
        for row in await self._room.effects.of_call(self._call_id):
            self.ledger.done(row.tool, row.outcome())
            if row.reason != TAKEN_BACK:
                self._begun.add(row.request_hash)
        who = await self._room.effects.keys.recall(self._call_id)
        if who.subject:
            self.caller.subject, self.caller.level = who.subject, who.level

    async def _known(self, how: str) -> Identified:
        """Kept, sealed, for whoever goes on with the call."""
        if how == "identified":
            who = KnownCaller(self.caller.subject, self.caller.ani, self.caller.level)
            try:
                await self._room.effects.keys.remember(self._call_id, who)
            except TrunklineError as error:
                log.error("who calls was not kept", call=self._call_id, error=type(error).__name__)
        return self._identified(how)

    def _identified(self, how: str) -> Identified:
        known = {
            name: Personal[Scalar](value, name)
            for name in ("subject", "ani", "locale")
            if (value := self.caller.value(name))
        }
        return Identified(self.caller.level, known, how)

    # ---- reading

    async def read(self, decision: Read) -> ReadDone:
        """Ask a back end, when the rules let this caller. Several may run at once."""
        number, tool = decision.request, decision.tool
        spec = self._bundle.tools.get(tool)
        if spec is None or spec.effect != "read":
            return ReadDone(number, tool, None, "refused")
        given = {name: value.reveal() for name, value in decision.args.items()}
        args = self._weigher.own(tool, given)
        verdict = await self._weigher.decide(tool, args, 1.0, fresh=False)
        if isinstance(verdict[0], Denied):
            self._trail.note(
                "control.denied", {"tool": tool, "rule": verdict[0].rule, "how": verdict[0].how}, self.caller.subject
            )
            return ReadDone(number, tool, None, "denied", verdict[0])
        try:
            records = await self._reader.records(tool, args)
        except BackEndError as error:
            return ReadDone(number, tool, None, "refused" if error.kind == "refused" else "down")
        except (KeyError, TrunklineError):
            return ReadDone(number, tool, None, "refused")
        self.ledger.read(tool, records)
        return ReadDone(number, tool, records)

    async def _read_records(self, tool: str) -> None:
        await self.read(Read(0, tool, {}))

    # ---- acting

    async def judge(self, decision: Judge) -> Judged:
        """The verdict. A proposal that a person has to decide is put before one: that much is promised by saying so."""
        weighed = await self._weigher.weigh(decision.proposal, fresh=False)
        self._confirmations.judged(weighed.proposal)
        verdict = weighed.verdict
        self._refused(weighed)
        if isinstance(verdict, Denied) and verdict.how == "human_review" and not await self._ask_person(weighed):
            # It cannot be put before anybody: then no colleague looks, and none is promised.
            verdict = Denied(verdict.rule, "deny", None)
        must = isinstance(verdict, Allowed) and self._policy.must_confirm(weighed.proposal.tool, weighed.facts)
        return Judged(decision.request, verdict, must)

    async def perform(self, decision: Perform) -> EffectDone:
        """At most once, and only as it was confirmed. Cancelling the call does not cancel an act under way."""
        number, tool = decision.request, decision.proposal.tool
        weighed = await self._weigher.weigh(decision.proposal, fresh=False)
        verdict = weighed.verdict
        if isinstance(verdict, Rejected):
            self._refused(weighed)
            return EffectDone(number, tool, Outcome("", "failed", {}, f"refused {verdict.argument} {verdict.reason}"))
        if isinstance(verdict, Denied) and verdict.how != "human_review":
            self._refused(weighed)
            return EffectDone(number, tool, Outcome("", "failed", {}, f"rule {verdict.rule}"))
        void, confirmed = self._confirmed(weighed, decision.confirmed)
        if void:
            self._trail.note("control.unconfirmed", {"tool": tool, "why": void}, self.caller.subject)
            return EffectDone(number, tool, Outcome("", "failed", {}, f"rule confirmation ({void})"))
        try:
            outcome = await self._run(weighed, confirmed=confirmed)
        except PayloadMismatchError:
            self._trail.note("control.mismatch", {"tool": tool}, self.caller.subject)
            return EffectDone(number, tool, None, mismatch=True)
        return EffectDone(number, tool, outcome)

    # ---- what waits

    async def waiting(self, decision: FindWaiting) -> WaitingFound:
        """Acts of this caller's that wait for their back end, of this call and of others."""
        acts = await waiting_acts(self._room, self._bundle, self._call_id, self.caller, decision.tools)
        return WaitingFound(decision.request, acts)

    async def take_back(self, decision: TakeBack) -> TakenBack:
        """In a task that outlives the call. What was done meanwhile stays done, and is said to be."""
        number, effect_id = decision.request, decision.effect_id
        work = self._room.keep(take_back(self._room, self._bundle, self._call_id, self.caller, effect_id))
        try:
            outcome = await asyncio.shield(work)
        except TrunklineError as error:
            log.warning("act not taken back", call=self._call_id, effect=effect_id, error=type(error).__name__)
            return TakenBack(number, "unknown")
        taken = outcome is not None and outcome.state == "failed" and outcome.reason == TAKEN_BACK
        how = "taken back" if taken else "refused" if outcome is None else outcome.state
        self._trail.note("control.take_back", {"effect": effect_id, "result": how}, self.caller.subject)
        if outcome is None or outcome.state == "failed":
            if taken and (row := await self._room.effects.get(effect_id)) is not None:
                # Asked for once more, it is read back once more.
                self._begun.discard(row.request_hash)
            return TakenBack(number, "taken back" if taken else "ended")
        return TakenBack(number, "done" if outcome.state == "committed" else "unknown")

    def asked(self, proposal: Proposal, speech: int) -> None:
        """`speech` reads this proposal back; `fill` makes sure that it says its arguments."""
        self._asked = (speech, proposal)
        self._confirmations.ask(proposal, speech)

    def played(self, speech: int, complete: bool) -> None:
        """A speech ended: what was read back in it counts as heard only to its last word."""
        self._confirmations.played(speech, complete, self._room.clock.now_ns())

    # ---- speaking

    def fill(self, say: Say) -> str:
        """The words of a decision, grounded or guarded; an honest sentence where they would claim too much."""
        if not say.prompt:
            return self.guard(say.free)
        try:
            text = ground(self._bundle, self._locale, say, self.ledger, self._speaker)
        except TrunklineError as error:
            what = error.what if isinstance(error, UngroundedError) else type(error).__name__
            log.warning("sentence not grounded", prompt=say.prompt, what=what, call=self._call_id)
            self._trail.note("control.ungrounded", {"prompt": say.prompt, "what": what}, self.caller.subject)
            self._confirmations.void(say.speech)
            return fallback(self._locale)
        if not self._reads_back(say):
            self._confirmations.void(say.speech)
        return text

    def guard(self, free: str) -> str:
        """A model's text when it claims nothing; else nothing, and a sentence of the bundle is said."""
        language = self._locale.split("-")[0]
        sentences = self._room.sentences(self._bundle, self._locale)
        claim = check(free, Supported.by(self.ledger.facts(), sentences, language), language)
        if claim is None:
            return free
        self._trail.note("control.claim", {"kind": claim.kind}, self.caller.subject)
        return ""

    async def close(self) -> None:
        """The call is over: what was noted is in the log. Acts under way go on in the worker."""
        await self._trail.close()

    # ---- parts

    def _reads_back(self, say: Say) -> bool:
        """False when this speech was to read a proposal back and says something else."""
        if self._asked is None or self._asked[0] != say.speech:
            return True
        proposal = self._asked[1]
        tool = self._bundle.tools[proposal.tool]
        if tool.confirm is None or tool.confirm.prompt != say.prompt:
            return False
        return reads_back(tool, proposal, {name: value.reveal() for name, value in say.facts.items()})

    def _confirmed(self, weighed: Weighed, told: bool) -> tuple[str, bool]:
        """What stands in the way of doing it (empty: nothing), and whether the caller heard it and said yes."""
        proposal = weighed.proposal
        if request_hash(proposal.tool, proposal.plain(), self._secret) in self._begun:
            # Begun already, so confirmed already: by the worker that had this call before, or by this one.
            return "", told
        void = self._confirmations.use(proposal, self._room.clock.now_ns()) if told else "not confirmed"
        must = self._policy.must_confirm(proposal.tool, weighed.facts)
        return (void if must else ""), not void

    async def _ask_person(self, weighed: Weighed) -> bool:
        """Put it before a reviewer; True when it lies there."""
        try:
            outcome = await self._run(weighed, for_review=True)
        except PayloadMismatchError:
            return False
        return outcome is not None and outcome.state == "review"

    async def _run(self, weighed: Weighed, *, for_review: bool = False, confirmed: bool = False) -> Outcome | None:
        """To the executor, in a task that outlives the call. None: the database is away, and nothing was begun.

        `for_review`: nothing is done now, whatever the facts have become meanwhile. Raises PayloadMismatchError.
        """
        proposal, args = weighed.proposal, weighed.proposal.plain()
        tool = self._bundle.tools[proposal.tool]

        async def recheck() -> Allowed | Denied:
            verdict, _ = await self._weigher.decide(proposal.tool, args, proposal.confidence, fresh=True)
            return weighed.verdict if for_review and isinstance(weighed.verdict, Denied) else verdict

        new = NewEffect(
            effect_id=uuid.uuid4().hex,
            idempotency_key=business_key(
                self._bundle.agent.id, proposal.tool, tool, self.caller.subject, args, self._secret
            ),
            window_s=tool.idempotency.window_s if tool.idempotency is not None else 86_400,
            request_hash=request_hash(proposal.tool, args, self._secret),
            call_id=self._call_id,
            turn=proposal.turn,
            agent_digest=self._bundle.digest,
            tool=proposal.tool,
            request=args,
            subject=self.caller.subject,
            context={
                "caller.auth_level": self.caller.level,
                "caller.transport": self.caller.transport,
                "caller.locale": self.caller.locale,
                "slot.min_confidence": proposal.confidence,
            },
            confirmed=confirmed,
        )
        work = self._room.keep(self._executor.run(self._bundle, new, self.caller.subject, recheck))
        try:
            outcome = await asyncio.shield(work)
        except PayloadMismatchError:
            raise
        except DeadlineError:
            # Somebody else works on the same thing and has not ended: nobody can say yet.
            outcome = Outcome(new.effect_id, "unknown", {}, "something else holds what this needs")
        except TrunklineError as error:
            log.error("act not begun", tool=proposal.tool, call=self._call_id, error=type(error).__name__)
            return None
        if outcome.state == "review":
            await self._put_before_people(outcome)
        self._begun.add(new.request_hash)
        self.ledger.done(proposal.tool, outcome)
        self._reader.forget()
        return outcome

    async def _put_before_people(self, outcome: Outcome) -> None:
        """At once; when that fails, the recovery of any worker does it."""
        try:
            row = await self._room.effects.get(outcome.effect_id)
            if row is not None and row.state == "review" and self._room.reviewing is not None:
                await self._room.reviewing.ask_again(row)
        except TrunklineError as error:
            log.warning("review not asked for yet", call=self._call_id, error=type(error).__name__)

    def _refused(self, weighed: Weighed) -> None:
        tool, verdict = weighed.proposal.tool, weighed.verdict
        if isinstance(verdict, Rejected):
            detail = {"tool": tool, "argument": verdict.argument, "reason": verdict.reason}
            self._trail.note("control.rejected", detail, self.caller.subject)
        elif isinstance(verdict, Denied):
            detail = {"tool": tool, "rule": verdict.rule, "how": verdict.how}
            self._trail.note("control.denied", detail, self.caller.subject)


if TYPE_CHECKING:
    # The port that a session drives.
    _PORT: type[Control] = ControlLayer
