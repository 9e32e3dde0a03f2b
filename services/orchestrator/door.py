"""The control layer of a call as its dialogue sees it, with how long reads and acts take measured."""

from collections.abc import Callable, Mapping, Sequence

from services.common.clock import Clock
from services.common.personal import Personal
from services.orchestrator.control.model import Proposal, Scalar
from services.orchestrator.dialogue.model import EffectDone, Identified, Judge, Judged, Perform, Read, ReadDone, Say
from services.orchestrator.dialogue.ports import Control


class Door(Control):
    """Everything as `control` does it. `measure(ms, at_ns)` is told of every read and act."""

    def __init__(self, control: Control, clock: Clock, measure: Callable[[float, int], None]) -> None:
        self._control = control
        self._clock = clock
        self._measure = measure

    async def recognise(self) -> Identified:
        """By the number."""
        return await self._control.recognise()

    async def identify(self, keys: Personal[str]) -> Identified:
        """By the secret that was keyed."""
        return await self._control.identify(keys)

    async def read(self, read: Read) -> ReadDone:
        """Measured."""
        began_ns = self._clock.now_ns()
        done = await self._control.read(read)
        self._took(began_ns)
        return done

    async def judge(self, judge: Judge) -> Judged:
        """Not measured: what it fetches is."""
        return await self._control.judge(judge)

    async def perform(self, perform: Perform) -> EffectDone:
        """Measured."""
        began_ns = self._clock.now_ns()
        done = await self._control.perform(perform)
        self._took(began_ns)
        return done

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

    def _took(self, began_ns: int) -> None:
        now_ns = self._clock.now_ns()
        self._measure((now_ns - began_ns) / 1e6, now_ns)
