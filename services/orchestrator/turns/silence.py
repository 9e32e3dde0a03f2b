"""Nobody says anything, or nothing that is understood: what is asked, how often, and when it is given up."""

from dataclasses import dataclass
from typing import Literal

from services.common.settings import TurnSettings
from services.orchestrator.turns.decisions import Decision, Filler, GiveUp, Reprompt
from services.orchestrator.turns.signals import AgentPhase

MS = 1_000_000
# Help is offered so often to a caller who speaks and is not understood, then the call ends.
MAX_OFFERS = 2
MAX_FILLERS = 2


@dataclass(slots=True)
class Silence:
    """Since when nobody speaks, and how often we asked."""

    since_ns: int | None = None
    asked: int = 0
    gave_up: bool = False

    def deadline_ns(self, settings: TurnSettings) -> int | None:
        """When it has lasted too long; None: it does not count now."""
        if self.since_ns is None or self.gave_up:
            return None
        return self.since_ns + settings.silence_reprompt_ms * MS

    def ask(self, settings: TurnSettings, at_ns: int) -> Reprompt | GiveUp:
        """It has: ask whether somebody is there, more simply the second time, offer help last, and then give up."""
        self.since_ns = at_ns
        if self.asked >= settings.max_reprompts:
            self.gave_up = True
            return GiveUp()
        self.asked += 1
        kind: Literal["again", "simpler", "offer"] = "simpler"
        if self.asked == 1:
            kind = "again"
        elif self.asked == settings.max_reprompts:
            kind = "offer"
        return Reprompt(self.asked, kind)


@dataclass(slots=True)
class Misunderstandings:
    """How often in a row the caller was not understood."""

    number: int = 0

    def next(self, settings: TurnSettings) -> Reprompt | GiveUp | None:
        """Count one more. None: ask the caller to say it again; else what there is to do instead."""
        self.number += 1
        beyond = self.number - settings.max_clarifications
        if beyond <= 0:
            return None
        return Reprompt(self.number, "offer") if beyond <= MAX_OFFERS else GiveUp()


@dataclass(slots=True)
class Patience:
    """The caller waits for an answer: say a word of patience when it takes long, and once more when very long."""

    since_ns: int | None = None
    said: int = 0

    def begin(self, at_ns: int) -> None:
        """The caller's turn was decided."""
        self.since_ns, self.said = at_ns, 0

    def agent_changed(self, phase: AgentPhase) -> None:
        """The answer is heard, or there is none. Our own word of patience is no answer."""
        if phase == "idle" or (phase == "speaking" and not self.said):
            self.since_ns = None

    def deadline_ns(self, settings: TurnSettings) -> int | None:
        """When the caller has waited too long for the next word."""
        if self.since_ns is None or not settings.filler_ms or self.said >= MAX_FILLERS:
            return None
        return self.since_ns + (settings.filler_again_ms if self.said else settings.filler_ms) * MS

    def say(self, at_ns: int) -> Filler:
        """Say it."""
        self.since_ns = at_ns
        self.said += 1
        return Filler(self.said)


class Quiet:
    """All that becomes due while no utterance is open. The agent's phase decides what counts."""

    def __init__(self, settings: TurnSettings) -> None:
        self._settings = settings
        self._silence = Silence()
        self._unclear = Misunderstandings()
        self._patience = Patience()
        self._agent: AgentPhase = "idle"

    def agent_changed(self, phase: AgentPhase, at_ns: int) -> None:
        """The agent speaks, prepares to, or has nothing to say."""
        self._agent = phase
        self._patience.agent_changed(phase)
        self._silence.since_ns = at_ns if phase == "idle" else None

    def speech_began(self) -> None:
        """It is quiet no more."""
        self._silence.since_ns = None

    def speech_ended(self, at_ns: int, *, answered: bool) -> None:
        """It is again. `answered`: there was something to answer, so whoever asks next asks for the first time."""
        if answered:
            self._silence = Silence()
        self._silence.since_ns = at_ns if self._agent == "idle" else None

    def present(self, at_ns: int) -> None:
        """The caller gave a sign without words."""
        self.speech_ended(at_ns, answered=True)

    def understood(self, decided_ns: int) -> None:
        """An answer was spoken or keyed, and the caller waits for ours."""
        self._unclear = Misunderstandings()
        self._patience.begin(decided_ns)

    def not_understood(self) -> Reprompt | GiveUp | None:
        """Something was said that cannot be acted upon. None: ask the caller to say it again."""
        instead = self._unclear.next(self._settings) if self._agent == "idle" else None
        self._silence.gave_up = self._silence.gave_up or isinstance(instead, GiveUp)
        return instead

    def deadlines_ns(self) -> list[int | None]:
        """When something is due."""
        return [self._silence_ns(), self._patience_ns()]

    def due(self, at_ns: int) -> list[Decision]:
        """What is due by now."""
        out: list[Decision] = []
        patience_ns, silence_ns = self._patience_ns(), self._silence_ns()
        if patience_ns is not None and at_ns >= patience_ns:
            out.append(self._patience.say(at_ns))
        if silence_ns is not None and at_ns >= silence_ns:
            out.append(self._silence.ask(self._settings, at_ns))
        return out

    def _silence_ns(self) -> int | None:
        return self._silence.deadline_ns(self._settings) if self._agent == "idle" else None

    def _patience_ns(self) -> int | None:
        return self._patience.deadline_ns(self._settings) if self._agent == "pending" else None
