"""Who has the floor while both could speak: the caller's utterance contests the agent's turn.

Playing pauses at the onset; then exactly one of "resume" and "stop" follows (barge_in.py judges). Only an utterance
that began while the agent was pending or speaking contests; one that began before is a turn like any other.
"""

from typing import Literal

from services.common.settings import TurnSettings
from services.orchestrator.turns import barge_in
from services.orchestrator.turns import decisions as do
from services.orchestrator.turns.signals import AgentPhase
from services.orchestrator.turns.speech import SpeechDetector
from services.orchestrator.turns.utterance import Utterance

MS = 1_000_000


class Floor:
    """Knows the agent's phase; every method returns the decisions it led to."""

    def __init__(self, settings: TurnSettings, speech: SpeechDetector) -> None:
        self._settings = settings
        self._speech = speech
        self.agent: AgentPhase = "idle"

    @property
    def agent_idle(self) -> bool:
        """The agent has nothing to say."""
        return self.agent == "idle"

    def contested_by(self, utterance: Utterance) -> bool:
        """The agent has the floor and this utterance may take it."""
        return utterance.contested and not self.agent_idle and not utterance.stopped

    def contest(self, utterance: Utterance, at_ns: int) -> list[do.Decision]:
        """What the sound so far decides."""
        if not self.contested_by(utterance):
            return []
        voiced_ms = self._speech.voiced_ns / MS
        if utterance.resumed:
            # Given back too early: the sound went on.
            went_on = not utterance.dipped and voiced_ms >= self._settings.barge_in_stop_speech_ms
            return self.stop(utterance, "speech") if went_on else []
        out: list[do.Decision] = []
        if not utterance.paused:
            if voiced_ms < self._settings.barge_in_pause_ms:
                return []
            utterance.paused = True
            out.append(do.PausePlayout(utterance.number))
        verdict = barge_in.by_duration(
            self._settings,
            since_onset_ms=(at_ns - utterance.onset_ns) / MS,
            voiced_ms=voiced_ms,
            still_speaking=self._speech.voiced,
            partial=utterance.partial,
        )
        if verdict == "stop":
            return out + self.stop(utterance, "speech")
        return out + (self.give_back(utterance, "short sound") if verdict == "resume" else [])

    def deadline_ns(self, utterance: Utterance) -> int | None:
        """When a paused agent is decided about by time alone."""
        if not utterance.paused or self._speech.voiced:
            # While frames of speech come, each of them is looked at.
            return None
        decide_ms = self._settings.barge_in_decide_ms
        if self._speech.voiced_ns >= self._settings.barge_in_stop_speech_ms * MS:
            # A long sound that has ended waits for its words a little longer.
            decide_ms += barge_in.WORDS_GRACE_MS
        return utterance.onset_ns + decide_ms * MS

    def stop(self, utterance: Utterance, reason: Literal["speech", "words"]) -> list[do.Decision]:
        """The caller takes the floor."""
        utterance.stopped, utterance.paused = True, False
        return [do.StopPlayout(utterance.number, utterance.onset_ns, reason)]

    def give_back(self, utterance: Utterance, reason: str) -> list[do.Decision]:
        """The agent goes on, if it was paused."""
        if not utterance.paused:
            return []
        utterance.paused, utterance.resumed = False, True
        return [do.ResumePlayout(reason)]
