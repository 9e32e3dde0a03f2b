"""The runtime under test behind the `Agent` of play.py: the real dialogue session and control layer of one call.

Nothing is replaced but the line (sentences are collected instead of spoken) and, where a run says so, the model. What
understanding made of each turn is noted beside, for the trends.
"""

from dataclasses import dataclass, field, replace

from services.cli.evals.noise import Heard
from services.cli.evals.play import Reaction, Sentence
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

    def say(self, speech: int, text: str, *, kind: SpeechKind, protected: bool) -> None:
        """After what is being said."""
        self._sentences.append(Sentence(speech, self.prompts.get(speech, kind if kind == "filler" else ""), text))

    def expect(self, expect: Expect) -> None:
        """How the caller may answer."""
        self._expect = expect

    def hand_over(self, route: str, reason: str, packet: Packet) -> None:
        """To a person."""
        self._handover = (route, reason)

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
        )


class Bridge:
    """`dialogue.ports.Control` over the control layer, noting which sentence each speech is."""

    def __init__(self, layer: ControlLayer, mouth: Mouth) -> None:
        self.layer, self._mouth = layer, mouth

    def fill(self, say: Say) -> str:
        """The sentence, and its name for the transcript."""
        self._mouth.prompts[say.speech] = say.prompt
        return self.layer.fill(say)
