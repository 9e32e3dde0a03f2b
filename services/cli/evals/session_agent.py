"""The runtime under test behind the `Agent` of play.py: the real dialogue session and control layer of one call.

Nothing is replaced but the line (sentences are collected instead of spoken) and, where a run says so, the model. What
understanding made of each turn is noted beside, for the trends.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.cli.evals.noise import Heard
from services.cli.evals.play import Reaction, Sentence
from services.cli.evals.proposer import Noted
from services.cli.evals.trends import Entity, Hearing
from services.common.personal import Personal
from services.orchestrator.control.facade import ControlLayer
from services.orchestrator.dialogue.model import Expect, Say
from services.orchestrator.dialogue.ports import Packet, SpeechKind
from services.orchestrator.dialogue.session import Session


@dataclass(slots=True)
class Mouth:
    """A `Sayer` that keeps what is to be said until the line fetches it. `prompts`: which sentence a speech is."""

    prompts: dict[int, str] = field(default_factory=dict)
    _sentences: list[Sentence] = field(default_factory=list)
    _expect: Expect = field(default_factory=Expect)
    _handover: tuple[str, str] | None = None
    _ended: bool = False

    def say(self, speech: int, text: str, *, kind: SpeechKind, protected: bool) -> None:
        """After what is being said."""
        self._sentences.append(Sentence(speech, self.prompts.get(speech, kind if kind == "filler" else ""), text))

    def expect(self, expect: Expect) -> None:
        """How the caller may answer."""
        self._expect = expect

    def hand_over(self, route: str, reason: str, packet: Packet) -> None:
        """To a person."""
        self._handover = (route, reason)

    def end(self) -> None:
        """The agent hangs up."""
        self._ended = True

    def reaction(self, session: Session) -> Reaction:
        """All since the last time."""
        sentences, self._sentences = self._sentences, []
        expect = self._expect
        question = session.dialogue.state.question
        return Reaction(
            sentences,
            slot=expect.slot,
            yes_no=expect.yes_no,
            keys=expect.keys,
            code=expect.keys and expect.masked,
            goal=question is not None and question.kind == "which_goal",
            handover=self._handover,
            state="ended" if self._ended else "open",
        )


class Noting(ControlLayer):
    """The control layer, noting which sentence each speech is: nothing else is changed."""

    mouth: Mouth

    def fill(self, say: Say) -> str:
        """As the layer does."""
        self.mouth.prompts[say.speech] = say.prompt
        return super().fill(say)


class SessionAgent:
    """One call of the runtime."""

    def __init__(self, session: Session, mouth: Mouth, layer: ControlLayer, noted: Noted) -> None:
        self._session, self._mouth, self._layer, self._noted = session, mouth, layer, noted

    async def begin(self) -> Reaction:
        """The call is up."""
        await self._session.begin()
        return await self._reaction()

    async def said(self, turn: int, heard: Heard) -> Reaction:
        """A turn of the caller's."""
        await self._session.said(turn, heard.text, (), heard.confidence)
        return await self._reaction()

    async def keyed(self, turn: int, keys: str) -> Reaction:
        """Keys."""
        await self._session.keyed(turn, Personal(keys, "keys"))
        return await self._reaction()

    async def played(self, speech: int, complete: bool) -> None:
        """A sentence ended."""
        await self._session.played(speech, complete)

    async def hang_up(self) -> None:
        """The call is over; acts go on."""
        await self._session.close()
        await self._layer.close()

    def entities(self) -> Sequence[Entity]:
        """What was understood beside what was said."""
        return self._noted.entities

    def hearing(self) -> Mapping[int, Hearing]:
        """How each turn was heard."""
        return self._noted.hearing

    async def _reaction(self) -> Reaction:
        await self._session.idle()
        return self._mouth.reaction(self._session)
