"""When a silence has lasted long enough, and what the utterance then is. Pure, and of no concern to the floor."""

from dataclasses import dataclass
from typing import Literal

from services.orchestrator.turns.hearing import Hearing
from services.orchestrator.turns.speech import SpeechDetector
from services.orchestrator.turns.utterance import Utterance

MS = 1_000_000
# Without frames (loss, a peer that sends nothing in silence) time alone decides, this much later.
FRAMES_MISSING_MS = 150
# A text this late will not come.
FAIL_AFTER_LATE_MS = 8_000
# Without text, speech shorter than this is not worth asking "what did you say?".
UNCLEAR_VOICED_MS = 500
# It is where one word answers the question: the recogniser may have missed a "yes".
UNCLEAR_ANSWER_MS = 200

# "answer": a turn. "doubt": words that must not be acted upon. "no text": speech without words, worth asking about.
# "nothing": a sound. "late": the text is, ask again. "lost": it will not come.
What = Literal["answer", "doubt", "no text", "nothing", "late", "lost"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`decided_ns`: when the wait was over, as opposed to when its text was there."""

    what: What
    decided_ns: int


class EndOfTurn:
    """One per call. `final_deadline_ms`: how long a text may take from the last voiced frame."""

    def __init__(self, speech: SpeechDetector, hearing: Hearing, final_deadline_ms: int) -> None:
        self._speech = speech
        self._hearing = hearing
        self._final_deadline_ms = final_deadline_ms

    def due_ns(self, utterance: Utterance, last_frame_ns: int) -> int:
        """When the dip becomes an end; while the text is missing, when it is late or lost."""
        wait_ms = self._hearing.wait(utterance).ms
        if utterance.text is None:
            wait_ms = max(wait_ms, self._final_deadline_ms) + (FAIL_AFTER_LATE_MS if utterance.late else 0)
        elif utterance.forced:
            wait_ms = 0
        ended_ns = utterance.words_end_ns if utterance.text else self._speech.last_voiced_ns
        due_ns = ended_ns + wait_ms * MS
        if self._speech.stirring and not utterance.forced:
            # The next frame says whether the caller goes on.
            due_ns = max(due_ns, last_frame_ns + FRAMES_MISSING_MS * MS)
        return due_ns

    def verdict(self, utterance: Utterance, at_ns: int, last_frame_ns: int) -> Verdict | None:
        """What the utterance is, now that its silence has lasted until `at_ns`; None: it has not lasted enough."""
        due_ns = self.due_ns(utterance, last_frame_ns)
        if at_ns < due_ns:
            return None
        if utterance.text is None:
            return Verdict("lost" if utterance.late else "late", at_ns)
        if utterance.doubt is not None:
            return Verdict("doubt", at_ns)
        if not utterance.text:
            return Verdict("no text" if self._speech.voiced_ns >= self._unclear_ms() * MS else "nothing", at_ns)
        if utterance.text_ns <= due_ns:
            return Verdict("answer", at_ns)
        # The wait was over at `due_ns`, or when the opinion came that shortened it: waiting for text is no endpointing.
        return Verdict("answer", min(at_ns, max(due_ns, utterance.probability_ns)))

    def _unclear_ms(self) -> int:
        return UNCLEAR_ANSWER_MS if self._hearing.expected.kind in ("yes_no", "choice") else UNCLEAR_VOICED_MS
