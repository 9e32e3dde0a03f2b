"""The dialogue's way to the control layer of its call; how long reads and acts take is measured here."""

from collections.abc import Callable, Mapping, Sequence

from services.common.clock import Clock
from services.common.personal import Personal
from services.orchestrator.control.facade import ControlLayer
from services.orchestrator.control.model import Proposal, Scalar
from services.orchestrator.dialogue.model import (
    EffectDone,
    Identified,
    Identify,
    Judge,
    Judged,
    Perform,
    Played,
    Read,
    ReadDone,
    Say,
)


class Door:
    """`dialogue.ports.Control` over one call's layer. `measure(ms, at_ns)` is told of every read and act."""

    def __init__(self, layer: ControlLayer, clock: Clock, measure: Callable[[float, int], None]) -> None:
        self.layer = layer
        self._clock = clock
        self._measure = measure

    async def recognise(self) -> Identified:
        """By the number."""
        return await self.layer.begin()

    async def identify(self, keys: Personal[str]) -> Identified:
        """By the secret that was keyed."""
        return await self.layer.identify(Identify(self.layer.caller.level + 1), keys)

    async def read(self, read: Read) -> ReadDone:
        """As the layer does."""
        began_ns = self._clock.now_ns()
        done = await self.layer.read(read)
        self._took(began_ns)
        return done

    async def judge(self, judge: Judge) -> Judged:
        """As the layer does."""
        return await self.layer.judge(judge)

    async def perform(self, perform: Perform) -> EffectDone:
        """As the layer does."""
        began_ns = self._clock.now_ns()
        done = await self.layer.perform(perform)
        self._took(began_ns)
        return done

    def asked(self, proposal: Proposal, speech: int) -> None:
        """The layer binds a read-back as it fills it."""

    def played(self, speech: int, complete: bool) -> None:
        """A speech ended."""
        self.layer.played(Played(speech, complete))

    def fill(self, say: Say) -> str:
        """As the layer does."""
        return self.layer.fill(say)

    def guard(self, free: str) -> str:
        """As the layer does."""
        return self.layer.guard(free)

    async def restore(self, records: Mapping[str, Sequence[Mapping[str, Scalar]]]) -> None:
        """Acts are known by their rows, records are read again when they are needed: nothing is believed unread."""

    def _took(self, began_ns: int) -> None:
        now_ns = self._clock.now_ns()
        self._measure((now_ns - began_ns) / 1e6, now_ns)
