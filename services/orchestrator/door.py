"""The control layer of a call as its dialogue sees it; what reads and acts came to, and how long, is logged."""

from collections.abc import Callable, Mapping, Sequence

from services.common.personal import Personal
from services.orchestrator import events as ev
from services.orchestrator.call_context import CallContext
from services.orchestrator.control.model import Allowed, Denied, Proposal, Scalar
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
from services.orchestrator.dialogue.ports import Control


class Door(Control):
    """Everything as `control` does it. `turn` says in which turn of the dialogue we are."""

    def __init__(self, control: Control, ctx: CallContext, turn: Callable[[], int]) -> None:
        self._control = control
        self._ctx = ctx
        self._turn = turn

    async def recognise(self) -> Identified:
        """By the number."""
        return await self._control.recognise()

    async def identify(self, keys: Personal[str]) -> Identified:
        """By the secret that was keyed."""
        return await self._control.identify(keys)

    async def read(self, read: Read) -> ReadDone:
        """Measured and logged."""
        began_ns = self._ctx.clock.now_ns()
        done = await self._control.read(read)
        count = len(done.records) if done.records is not None else None
        at_ns = self._took(began_ns)
        self._ctx.log(ev.ToolRead(at_ns=at_ns, turn=self._turn(), tool=read.tool, records=count, reason=done.reason))
        return done

    async def judge(self, judge: Judge) -> Judged:
        """Logged; what it fetches is not measured apart."""
        judged = await self._control.judge(judge)
        verdict, rule = judged.verdict, ""
        match verdict:
            case Allowed():
                told = "allowed"
            case Denied(rule=rule, how=told):
                pass
            case _:
                told = "rejected"
        self._ctx.log(
            ev.ActJudged(
                at_ns=self._ctx.clock.now_ns(),
                turn=self._turn(),
                tool=judge.proposal.tool,
                verdict=told,
                rule=rule,
            )
        )
        return judged

    async def perform(self, perform: Perform) -> EffectDone:
        """Measured and logged."""
        began_ns = self._ctx.clock.now_ns()
        done = await self._control.perform(perform)
        outcome = done.outcome
        self._ctx.log(
            ev.ActEnded(
                at_ns=self._took(began_ns),
                turn=self._turn(),
                tool=done.tool,
                effect_id=outcome.effect_id if outcome is not None else "",
                state=outcome.state if outcome is not None else "mismatch" if done.mismatch else "not begun",
            )
        )
        return done

    async def waiting(self, find: FindWaiting) -> WaitingFound:
        """As the layer does."""
        return await self._control.waiting(find)

    async def take_back(self, take_back: TakeBack) -> TakenBack:
        """Logged like an act."""
        began_ns = self._ctx.clock.now_ns()
        taken = await self._control.take_back(take_back)
        self._ctx.log(
            ev.ActEnded(
                at_ns=self._took(began_ns),
                turn=self._turn(),
                tool="",
                effect_id=take_back.effect_id,
                state=taken.how,
            )
        )
        return taken

    def asked(self, proposal: Proposal, speech: int) -> None:
        """`speech` reads it back."""
        self._control.asked(proposal, speech)

    def played(self, speech: int, complete: bool) -> None:
        """A speech ended."""
        self._control.played(speech, complete)

    def fill(self, say: Say) -> str:
        """The sentence."""
        return self._control.fill(say)

    def guard(self, free: str) -> str:
        """Free text."""
        return self._control.guard(free)

    async def restore(self, records: Mapping[str, Sequence[Mapping[str, Scalar]]]) -> None:
        """Of a call that another worker had."""
        await self._control.restore(records)

    def _took(self, began_ns: int) -> int:
        now_ns = self._ctx.clock.now_ns()
        self._ctx.measure("tool", self._turn(), (now_ns - began_ns) / 1e6, now_ns)
        return now_ns
