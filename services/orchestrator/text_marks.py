"""What the recogniser is told when it is asked for the words in the middle of speech, and speech pauses meanwhile.

It decodes one stretch at a time, and to it a question is a pause. A dip while it is asked waits for the answer: to
begin anew would make the words come later.

    SPEECH ──ask──► ASKED ──answer──► SPEECH
       │              └──dip──► ASKED, dip waits ──answer──► DIP
       └──dip──► DIP ──speech──► SPEECH      └──speech──► ASKED
"""

from services.orchestrator.clients.asr import Kind
from services.pb.trunkline.asr.v1 import asr_pb2 as pb

Marks = list[pb.Mark.Kind.ValueType]


class TextMarks:
    """Of one utterance at a time. Every method returns the marks to send now."""

    def __init__(self) -> None:
        # The next final is the answer to a question for the words.
        self.asked = False
        self._dip = False

    def ask(self) -> Marks:
        """The words are wanted though speech goes on; not twice at once."""
        if self.asked or self._dip:
            return []
        self.asked = True
        return [Kind.KIND_SPEECH_PAUSED]

    def dip(self) -> Marks:
        """Speech has paused."""
        self._dip = True
        return [] if self.asked else [Kind.KIND_SPEECH_PAUSED]

    def speech(self) -> Marks:
        """It goes on."""
        waited, self._dip = self.asked, False
        return [] if waited else [Kind.KIND_SPEECH_RESUMED]

    def answered(self) -> Marks:
        """The question was, or could not be: as for the recogniser speech goes on, or pauses only now."""
        self.asked = False
        return [Kind.KIND_SPEECH_RESUMED, *([Kind.KIND_SPEECH_PAUSED] if self._dip else [])]

    def final(self) -> Marks:
        """The final is wanted, whatever was asked."""
        marks = [Kind.KIND_SPEECH_RESUMED] if self.asked else []
        self.asked = False
        return [*marks, Kind.KIND_FINALIZE]

    def over(self) -> None:
        """The utterance is."""
        self.asked = self._dip = False
