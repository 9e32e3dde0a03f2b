"""Who has the floor while both could speak: the caller's utterance contests the agent's turn.

Playing pauses at the onset; then exactly one of "resume" and "stop" follows (barge_in.py judges). Only an utterance
that began while the agent was pending or speaking contests; one that began before is a turn like any other. Protected
speech is never contested: the words are kept and answered when it is over.
"""

from services.common.settings import TurnSettings
from services.orchestrator.turns import barge_in
from services.orchestrator.turns import decisions as do
from services.orchestrator.turns import signals as on
from services.orchestrator.turns.hearing import Hearing
from services.orchestrator.turns.speech import SpeechDetector
from services.orchestrator.turns.utterance import Utterance

MS = 1_000_000
# After a resume, a new sound must last so long to pause the agent again: a laugh comes in bursts.
PAUSE_AGAIN_MS = 160


class Floor:
    """Knows the agent's phase; every method returns the decisions it led to."""

    def __init__(self, settings: TurnSettings, speech: SpeechDetector, hearing: Hearing) -> None:
        self._settings = settings
        self._speech = speech
        self._hearing = hearing
        self._saying = ""
        # The loudest echo of our own voice in this call, dB below the caller's usual level.
        self._echo_below_db: float | None = None
        self.agent: on.AgentPhase = "idle"
        self.protected = False

    @property
    def agent_idle(self) -> bool:
        """The agent has nothing to say."""
        return self.agent == "idle"

    def contested_by(self, utterance: Utterance) -> bool:
        """The agent has the floor and this utterance may take it."""
        return utterance.contested and not (self.agent_idle or self.protected or utterance.stopped or utterance.keyed)

    def agent_changed(self, signal: on.AgentChanged, utterance: Utterance | None) -> list[do.Decision]:
        """The agent has begun, gone on or ended."""
        self.agent, self.protected = signal.phase, signal.protected and signal.phase != "idle"
        self._saying = signal.saying or self._saying
        if utterance is None or not (self.agent_idle or self.protected):
            return []
        # Nothing is left to pause or stop, or it must not be: the words are a turn like any other.
        return self.give_back(utterance, "protected" if self.protected else "nothing to say")

    def contest(self, utterance: Utterance, at_ns: int) -> list[do.Decision]:
        """What the sound so far decides."""
        if not self.contested_by(utterance):
            return []
        sound = self._sound(utterance, at_ns)
        out: list[do.Decision] = []
        if not utterance.paused:
            if utterance.resumed and (
                utterance.wordless >= barge_in.WORDLESS_PARTIALS
                or barge_in.is_backchannel(utterance.partial, self._hearing.lexicon)
            ):
                # A noise that goes on, behind "okay" too: not paused for again until there are other words in it.
                return []
            needed_ms = PAUSE_AGAIN_MS if utterance.resumed else self._settings.barge_in_pause_ms
            if sound.voiced_ms < needed_ms or utterance.dipped or sound.distant:
                return []
            utterance.paused = True
            out.append(do.PausePlayout(utterance.number))
        so_far = barge_in.SoFar(
            utterance.partial, utterance.agreed, utterance.wordless, utterance.told, utterance.answers
        )
        verdict = barge_in.by_sound(self._settings, sound, so_far, self._overheard())
        return out + self._carry_out(verdict, utterance)

    def ask_words(self, utterance: Utterance) -> list[do.Decision]:
        """The sound lasts and nothing is decided: ask what it is."""
        if not self.contested_by(utterance) or not utterance.paused or utterance.dipped or not self._speech.voiced:
            return []
        due = sum(self._voiced_ms(utterance) >= ms for ms in barge_in.ASK_WORDS_MS)
        if due <= utterance.words_asked:
            return []
        utterance.words_asked = due
        return [do.AskWords(utterance.number)]

    def judge(self, utterance: Utterance) -> tuple[list[do.Decision], str]:
        """What the final text decides: the decisions, and why there is nothing to answer ("": there is)."""
        if not utterance.contested or utterance.stopped:
            return [], ""
        sound = self._sound(utterance, 0)
        verdict = barge_in.by_words(utterance.text or "", sound, self._overheard())
        if self.agent_idle:
            # The agent ended meanwhile: "mhm" may be an answer now, echo and other people's words are none.
            unheard = verdict is not None and verdict[1] in ("echo", "background")
            return [], verdict[1] if unheard and verdict is not None else ""
        if verdict is not None and verdict[0] == "resume":
            self._heard_echo(verdict[1])
            return self.give_back(utterance, verdict[1]), verdict[1]
        text, lexicon = utterance.text or "", self._hearing.lexicon
        command = barge_in.is_command(text, lexicon)
        if not command and not self.protected and barge_in.is_misheard_listening(text, utterance.logprob, lexicon):
            return self.give_back(utterance, "backchannel"), "backchannel"
        if utterance.doubt is not None and not command and not self.protected:
            # Nobody is stopped by words that nobody understood.
            return self.give_back(utterance, utterance.doubt), utterance.doubt
        return ([] if self.protected else self._carry_out(verdict, utterance)), ""

    def deadline_ns(self, utterance: Utterance) -> int | None:
        """When a paused agent is decided about by time alone."""
        if not utterance.paused or self._speech.voiced:
            # While frames of speech come, each of them is looked at.
            return None
        short = self._voiced_ms(utterance) < self._settings.barge_in_stop_speech_ms
        decide_ms = self._settings.barge_in_decide_ms if short else self._settings.barge_in_words_ms
        return utterance.burst_ns + decide_ms * MS

    def key_pressed(self, utterance: Utterance | None, at_ns: int) -> list[do.Decision]:
        """A digit takes the floor at once."""
        if self.agent_idle or self.protected:
            return []
        if utterance is not None:
            utterance.stopped, utterance.paused = True, False
        return [do.StopPlayout(utterance.number if utterance is not None else 0, at_ns, "key")]

    def give_back(self, utterance: Utterance, reason: str) -> list[do.Decision]:
        """The agent goes on, if it was paused."""
        if not utterance.paused:
            return []
        utterance.paused, utterance.resumed = False, True
        # What follows is a new sound.
        utterance.voiced_before_ns, utterance.burst_ns = self._speech.voiced_ns, 0
        utterance.words_asked, utterance.answers, utterance.told = 0, 0, None
        return [do.ResumePlayout(reason)]

    def _carry_out(self, verdict: barge_in.Verdict, utterance: Utterance) -> list[do.Decision]:
        match verdict:
            case ("stop", ("speech" | "words") as reason):
                utterance.stopped, utterance.paused = True, False
                return [do.StopPlayout(utterance.number, utterance.onset_ns, reason)]
            case ("resume", reason):
                self._heard_echo(reason)
                return self.give_back(utterance, reason)
            case _:
                return []

    def _heard_echo(self, reason: str) -> None:
        below_db = self._hearing.level.below_usual_db(self._speech.level_db) if reason == "echo" else None
        if below_db is not None:
            known_db = self._echo_below_db
            self._echo_below_db = below_db if known_db is None else min(known_db, below_db)

    def _voiced_ms(self, utterance: Utterance) -> float:
        return (self._speech.voiced_ns - utterance.voiced_before_ns) / MS

    def _sound(self, utterance: Utterance, at_ns: int) -> barge_in.Sound:
        voiced_ms = self._voiced_ms(utterance)
        if not utterance.burst_ns and voiced_ms > 0:
            utterance.burst_ns = max(utterance.onset_ns, at_ns - round(voiced_ms * MS))
        level, above_db = self._hearing.level, self._speech.above_noise_db
        return barge_in.Sound(
            since_onset_ms=(at_ns - utterance.burst_ns) / MS if utterance.burst_ns else 0.0,
            voiced_ms=voiced_ms,
            still_speaking=self._speech.voiced,
            distant=level.distant(self._speech.level_db) or (above_db is not None and above_db < barge_in.MURMUR_DB),
            below_usual_db=level.below_usual_db(self._speech.level_db),
            noisy=above_db is not None and above_db < barge_in.NOISY_DB,
            echo_below_db=self._echo_below_db,
        )

    def _overheard(self) -> barge_in.Overheard:
        return barge_in.Overheard(self._hearing.lexicon, self._hearing.expected, self._saying)
