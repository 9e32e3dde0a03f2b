"""What a dialogue's driver needs of the world: somebody who understands, the control layer, a store, a voice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from services.common.errors import TrunklineError
from services.common.personal import Personal
from services.orchestrator.control.model import Proposal, Scalar
from services.orchestrator.dialogue.model import (
    EffectDone,
    Expect,
    FindWaiting,
    Identified,
    Judge,
    Judged,
    Legal,
    Perform,
    Read,
    ReadDone,
    Say,
    SlotData,
    TakeBack,
    TakenBack,
    Understood,
    WaitingFound,
)
from services.orchestrator.dialogue.state import DialogueState, Done

# ask: it opens a question; tell: it does not; filler: patience, may be dropped when something else is to be said.
SpeechKind = Literal["ask", "tell", "filler"]


class TakenOverError(TrunklineError):
    """Another worker has gone on with this dialogue: nothing more may be done with it here."""


@dataclass(frozen=True, slots=True)
class Packet:
    """What a person is told who takes the call over."""

    goals: tuple[tuple[str, str], ...]
    values: Mapping[str, Personal[SlotData]]
    done: tuple[Done, ...]
    # Why goals were given up: rules that refused, back ends that failed.
    reasons: tuple[str, ...]
    level: int
    last_words: Personal[str]


class Understander(Protocol):
    """Words → acts, only such as are legal now."""

    async def understand(
        self,
        turn: int,
        words: Personal[str],
        alternatives: Sequence[Personal[str]],
        heard: float,
        legal: Legal,
        context: Personal[str],
    ) -> Understood:
        """`heard`: how sure the recogniser is, 0 to 1; `context`: what the agent said last."""
        ...


class Control(Protocol):
    """The door to systems of record, of one call (services.orchestrator.control)."""

    async def recognise(self) -> Identified:
        """Who calls, as far as the call itself says it (its number)."""
        ...

    async def identify(self, keys: Personal[str]) -> Identified:
        """Who calls, by the secret that was keyed."""
        ...

    async def read(self, read: Read) -> ReadDone:
        """Rules first, then the back end; a failure is an answer without records."""
        ...

    async def judge(self, judge: Judge) -> Judged:
        """Validated, and weighed against the rules."""
        ...

    async def perform(self, perform: Perform) -> EffectDone:
        """Done once, whatever is repeated; what is not known to be done is said to be unknown."""
        ...

    async def waiting(self, find: FindWaiting) -> WaitingFound:
        """Acts of this caller's that wait for their back end."""
        ...

    async def take_back(self, take_back: TakeBack) -> TakenBack:
        """Not done any more, if it was not done meanwhile: one or the other, whoever is first."""
        ...

    def asked(self, proposal: Proposal, speech: int) -> None:
        """`speech` reads this proposal back to the caller."""
        ...

    def played(self, speech: int, complete: bool) -> None:
        """A speech ended."""
        ...

    def fill(self, say: Say) -> str:
        """The sentence with its places filled from what is known for certain."""
        ...

    def guard(self, free: str) -> str:
        """Free text that claims nothing; empty when it does."""
        ...

    async def restore(self, records: Mapping[str, Sequence[Mapping[str, Scalar]]]) -> None:
        """Take up a call that another worker began: what reads answered, per tool; acts are known by their rows."""
        ...


class StateStore(Protocol):
    """Where one dialogue's state is kept (store.dialogue)."""

    async def save(self, state: DialogueState) -> None:
        """Durable when it returns. Raises TakenOverError when somebody else wrote meanwhile."""
        ...


class Sayer(Protocol):
    """The agent's voice in the call. Speeches are said one after the other; each end comes back by `played`."""

    def say(self, speech: int, text: str, *, kind: SpeechKind, protected: bool) -> None:
        """Say it after what is being said."""
        ...

    def expect(self, expect: Expect) -> None:
        """How the caller may answer."""
        ...

    def hand_over(self, route: str, reason: str, packet: Packet) -> None:
        """To a person, after what is being said."""
        ...

    def end(self) -> None:
        """Hang up, after what is being said; not when the caller speaks again before that."""
        ...
