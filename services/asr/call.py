"""One call's recognition as a sans-I/O state machine: audio and marks in, effects out; no clock, no await.

            SPEECH_STARTED            SPEECH_PAUSED: decode at once (provisional final)
    IDLE ───────────────────▶ SPEAKING ───────────────────────▶ PAUSED
     ▲  FINALIZE, DISCARD      │   ▲                             │  │
     ├─────────────────────────┘   └── SPEECH_RESUMED: void it ──┘  │
     └──────────── FINALIZE (answered by the provisional), DISCARD ─┘

A mark that does not fit is answered by an error for its utterance and changes nothing. Several finalized
utterances may wait for their answers while the next one is spoken.
"""

import itertools

from services.asr.effects import Effect, Limits, MarkKind, SendError, SendFinal
from services.asr.hypothesis import Hypothesis, Pcm, Recognition
from services.asr.tape import Tape
from services.asr.utterance import Utterance
from services.common.errors import InvalidInputError, OverloadedError, TrunklineError


class CallRecognition:
    """State of one Recognize stream after its config. Every method returns effects in the order to do them."""

    def __init__(self, config: Recognition, limits: Limits) -> None:
        self._config = config
        self._limits = limits
        self._tape = Tape()
        self._open: Utterance | None = None
        self._finalizing: list[Utterance] = []
        self._last_id = -1
        # Stream position up to which audio belongs to utterances that are over.
        self._consumed = 0
        self._jobs = itertools.count(1)

    def idle(self) -> bool:
        """True when no answer is outstanding."""
        return not self._finalizing and (self._open is None or not any(self._open.jobs()))

    def audio(self, pcm: Pcm, partial_hop_ms: int | None) -> list[Effect]:
        """Take audio. `partial_hop_ms`: least audio between partials now; None: no partials."""
        self._tape.append(pcm)
        effects = self._open.heard(partial_hop_ms) if self._open else []
        self._tape.forget_before(self._open.needs_from() if self._open else self._preroll_start())
        return effects

    def mark(self, kind: MarkKind, utterance_id: int, deadline_ms: int) -> list[Effect]:
        """Take a mark; a mark that does not fit gives one SendError and changes nothing."""
        if kind is MarkKind.SPEECH_STARTED:
            return self._started(utterance_id)
        utterance = self._open
        if utterance is None or utterance.id != utterance_id:
            return self._mark_of_other(kind, utterance_id)
        match kind:
            case MarkKind.SPEECH_PAUSED:
                if utterance.paused_at is None:
                    return utterance.pause(deadline_ms)
                return [_refuse(utterance_id, "mark.kind", "SPEECH_RESUMED, FINALIZE or DISCARD", kind.name)]
            case MarkKind.SPEECH_RESUMED:
                if utterance.paused_at is not None:
                    return utterance.resume()
                return [_refuse(utterance_id, "mark.kind", "SPEECH_PAUSED, FINALIZE or DISCARD", kind.name)]
            case MarkKind.FINALIZE:
                return self._finalize(utterance, deadline_ms)
            case MarkKind.DISCARD:
                self._close(self._tape.end)
                return utterance.give_up()

    def decoded(self, job_id: int, hypothesis: Hypothesis) -> list[Effect]:
        """Take a judged hypothesis; one that is no longer wanted is dropped."""
        utterance = self._owner(job_id)
        return self._settle(utterance, utterance.decoded(job_id, hypothesis)) if utterance else []

    def early(self, job_id: int, hypothesis: Hypothesis) -> list[Effect]:
        """Take the judged text of a provisional final before its words are there."""
        utterance = self._owner(job_id)
        return utterance.early(job_id, hypothesis) if utterance else []

    def failed(self, job_id: int, error: TrunklineError) -> list[Effect]:
        """Take a refusal or a failure; one that is no longer wanted is dropped."""
        utterance = self._owner(job_id)
        return self._settle(utterance, utterance.failed(job_id, error)) if utterance else []

    def _started(self, utterance_id: int) -> list[Effect]:
        if self._open is not None:
            first = f"FINALIZE or DISCARD of utterance {self._open.id} first"
            return [_refuse(utterance_id, "mark.kind", first, "SPEECH_STARTED")]
        if utterance_id <= self._last_id:
            return [_refuse(utterance_id, "mark.utterance_id", f"more than {self._last_id}", str(utterance_id))]
        if len(self._finalizing) >= self._limits.max_finalizing:
            return [SendError(utterance_id, OverloadedError("Recognition of this call", retry_after_s=1.0))]
        self._last_id = utterance_id
        start = max(self._tape.start, self._preroll_start())
        self._open = Utterance(
            utterance_id, self._tape, start, self._config, self._limits, new_job=lambda: next(self._jobs)
        )
        return []

    def _mark_of_other(self, kind: MarkKind, utterance_id: int) -> list[Effect]:
        """A mark of an utterance that is not open: only one that waits for its final can still be discarded."""
        for utterance in self._finalizing:
            if kind is MarkKind.DISCARD and utterance.id == utterance_id:
                self._finalizing.remove(utterance)
                return utterance.give_up()
        expected = f"{self._open.id}, the open utterance" if self._open else "SPEECH_STARTED first: none is open"
        return [_refuse(utterance_id, "mark.utterance_id", expected, str(utterance_id))]

    def _finalize(self, utterance: Utterance, deadline_ms: int) -> list[Effect]:
        effects = utterance.finalize(deadline_ms)
        self._finalizing.append(utterance)
        # What came after the pause was not decoded: it may be the beginning of the next utterance.
        self._close(self._tape.end if utterance.paused_at is None else utterance.paused_at)
        return self._settle(utterance, effects)

    def _close(self, consumed: int) -> None:
        self._open = None
        self._consumed = consumed
        self._tape.forget_before(self._preroll_start())

    def _settle(self, utterance: Utterance, effects: list[Effect]) -> list[Effect]:
        """A finalized utterance is over with its final, or with the error that stands for it."""
        over = any(isinstance(effect, SendFinal | SendError) for effect in effects)
        if over and utterance in self._finalizing:
            self._finalizing.remove(utterance)
            return [*utterance.give_up(), *effects]
        return effects

    def _owner(self, job_id: int) -> Utterance | None:
        candidates = [*self._finalizing, *([self._open] if self._open else [])]
        return next((utterance for utterance in candidates if job_id in utterance.jobs()), None)

    def _preroll_start(self) -> int:
        preroll = self._limits.preroll_ms * self._config.sample_rate_hz // 1000
        return max(self._consumed, self._tape.end - preroll)


def _refuse(utterance_id: int, field: str, expected: str, got: str) -> SendError:
    return SendError(utterance_id, InvalidInputError(field, expected=expected, got=got))
