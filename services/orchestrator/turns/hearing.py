"""What the turn-taker makes of the caller's words: in which language, in answer to what, from which caller."""

from services.common.settings import TurnSettings
from services.orchestrator.turns import signals as on
from services.orchestrator.turns.completeness import read
from services.orchestrator.turns.endpoint import Wait, endpoint_wait
from services.orchestrator.turns.expectation import OPEN, Expectation
from services.orchestrator.turns.level import UsualLevel
from services.orchestrator.turns.lexicon import lexicon
from services.orchestrator.turns.profile import PROFILES, CallerPauses
from services.orchestrator.turns.utterance import Doubt, Utterance

MS = 1_000_000
# While the turn is still open the turn model is asked again, with this much silence after the last voiced frame.
ASK_AGAIN_MS = (400, 700)
# What language it is can be heard from so much speech on: 72 % right after 1 s, 93 % after 2 s (whisper base).
LANGUAGE_VOICED_MS = 1_500


class Hearing:
    """One per call. `languages`: the primary subtags the call is held in; empty: any."""

    def __init__(self, settings: TurnSettings, locale: str, languages: tuple[str, ...]) -> None:
        self._settings = settings
        self.lexicon = lexicon(locale)
        self.languages = frozenset(language.split("-", 1)[0].lower() for language in languages)
        self.expected: Expectation = OPEN
        self.caller = CallerPauses(PROFILES[settings.profile])
        self.level = UsualLevel()

    def asked(self, signal: on.Asked) -> None:
        """The agent asks for something else now."""
        self.expected = signal.expectation
        if signal.locale:
            self.lexicon = lexicon(signal.locale)

    def read(self, utterance: Utterance) -> None:
        """Judge its words anew: they, or the question, have changed."""
        words = utterance.text if utterance.text is not None else utterance.partial
        said = (words, self.lexicon, self.expected, utterance.logprob, utterance.ending)
        reading = read(*said) if words else None
        # Words in doubt may say that more will come, never that a turn is over.
        believed = reading is None or utterance.doubt is None or reading.log_odds < 0
        utterance.reading = reading if believed else None

    def wait(self, utterance: Utterance) -> Wait:
        """How long after its last voiced frame it is over, as known so far."""
        return endpoint_wait(self._settings, utterance.probability, utterance.reading, self.caller)

    def ask_due_ns(self, utterance: Utterance, last_voiced_ns: int) -> int | None:
        """When the turn model is asked again: only where its answer can still change the wait."""
        if utterance.asks >= len(ASK_AGAIN_MS) or utterance.forced or utterance.late:
            return None
        ask_ms = ASK_AGAIN_MS[utterance.asks]
        return last_voiced_ns + ask_ms * MS if self.wait(utterance).ms > ask_ms else None

    def asked_model(self, utterance: Utterance, silence_ns: int) -> None:
        """It is asked now. Times that have passed together are one question."""
        utterance.asks = sum(silence_ns >= ms * MS for ms in ASK_AGAIN_MS)

    def doubt(self, final: on.FinalText, voiced_ms: float) -> Doubt | None:
        """Why these words must not be acted upon; None: they may."""
        settings = self._settings
        if not final.text.strip():
            return None
        heard = final.language.split("-", 1)[0].lower()
        if (
            self.languages
            and heard
            and heard not in self.languages
            and final.language_probability >= settings.foreign_language_probability
            and voiced_ms >= LANGUAGE_VOICED_MS
        ):
            return "language"
        unlikely = final.avg_logprob < settings.low_score_logprob
        # Whisper's own rule: likely no speech, and not sure of the words either.
        unsure = final.avg_logprob < settings.low_score_logprob / 2
        invented = unsure and final.no_speech_prob > settings.low_score_no_speech
        return "low score" if unlikely or invented else None
