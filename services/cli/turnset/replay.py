"""The real turn-taker over an item, in audio time, with the models' real answers. Pure: no clock, no model.

Carries out decisions as listener and agent do in a call: the stretches given to recogniser and turn model are those
of services/orchestrator/listener.py, answers come after the declared time (`Latencies`), an answer to a dip that speech
has ended is void. A partial text that another would replace before the voice pauses is not asked for: only its
successor could matter. While the agent speaks, and on a noisy line, every one is.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from services.cli.turnset.hearing import BASE_NS, Hearing
from services.cli.turnset.outputs import Ask, Outputs
from services.cli.turnset.recipe import Item
from services.common.settings import TurnSettings
from services.orchestrator.listener import PARTIAL_INTERVAL_MS, PREROLL_SAMPLES, TURN_PREROLL_NS
from services.orchestrator.media.audio import MODEL_RATE_HZ
from services.orchestrator.turns import decisions as do
from services.orchestrator.turns import signals as on
from services.orchestrator.turns.expectation import Expectation
from services.orchestrator.turns.taker import TurnTaker

MS = 1_000_000
KEEP_SAMPLES = 8 * MODEL_RATE_HZ
PARTIAL_SAMPLES = PARTIAL_INTERVAL_MS * MODEL_RATE_HZ // 1000
_VOICED = 0.35


@dataclass(frozen=True, slots=True)
class Latencies:
    """Declared, in audio time: turn model and recogniser as measured on two cores, the others estimated."""

    vad_ms: int = 3
    predict_ms: int = 60
    asr_ms: int = 90
    partial_ms: int = 110


LATENCIES = Latencies()


@dataclass(frozen=True, slots=True)
class Step:
    """A decision that somebody outside notices, ms of item time."""

    at_ms: float
    what: str
    reason: str = ""


NOTICED: dict[type[do.Decision], str] = {
    do.StartSpeech: "start",
    do.PauseSpeech: "dip",
    do.EndTurn: "end",
    do.UnclearTurn: "unclear",
    do.FailTurn: "fail",
    do.Discard: "discard",
    do.PausePlayout: "pause",
    do.ResumePlayout: "resume",
    do.StopPlayout: "stop",
}


@dataclass(slots=True)
class _Utterance:
    number: int
    onset_ns: int
    asr_from: int
    partials_from: int
    dips: int = 0
    open: bool = True


@dataclass(slots=True)
class Replay:
    """One item. `run` once."""

    item: Item
    hearing: Hearing
    outputs: Outputs
    settings: TurnSettings
    final_deadline_ms: int = 3_000
    latencies: Latencies = LATENCIES
    steps: list[Step] = field(default_factory=list)
    _queue: list[tuple[int, int, on.Signal, "_Utterance | None", int]] = field(default_factory=list)
    _order: int = 0
    _utterance: _Utterance | None = None
    _speaking: bool = False
    _taker: TurnTaker = field(init=False)

    def run(self) -> list[Step]:
        """Every noticed decision. Raises MissingOutputError for an answer that is not there yet."""
        self._taker = TurnTaker(self.settings, self.final_deadline_ms)
        vad: Sequence[float] = self.outputs.get(Ask("vad", self.hearing.sha))
        frames = self.hearing.frames
        self._begin()
        vad_ns, last, index, stuck_ns = self.latencies.vad_ms * MS, len(frames), 0, -1
        while True:
            frame_ns = frames[index].received_ns + vad_ns if index < last else None
            queue_ns = self._queue[0][0] if self._queue else None
            known = [at for at in (frame_ns, queue_ns) if at is not None]
            next_ns = min(known) if known else None
            due_ns = self._taker.next_deadline_ns()
            if due_ns is not None and due_ns != stuck_ns and (next_ns is None or due_ns <= next_ns):
                # A deadline that has passed without a decision waits for the next signal.
                stuck_ns = due_ns
                if due_ns > BASE_NS + self.hearing.packets * 20 * MS:
                    return self.steps
                self._feed(on.Tick(max(due_ns, BASE_NS)))
                continue
            if next_ns is None:
                return self.steps
            stuck_ns = -1
            if queue_ns is not None and queue_ns == next_ns:
                self._deliver(heapq.heappop(self._queue))
                continue
            frame = frames[index]
            probability = vad[index]
            self._partials(index, vad)
            self._feed(on.VadFrame(next_ns, frame.end_ns, probability, frame.levels_db))
            index += 1
            if self._over(next_ns):
                return self.steps

    def _begin(self) -> None:
        self._feed(on.Asked(BASE_NS, _expectation(self.item)))
        if self.item.barge_in:
            self._speaking = True
            self._feed(on.AgentChanged(BASE_NS, "speaking", saying=self.item.agent_text))
        else:
            self._feed(on.AgentChanged(BASE_NS, "idle"))

    def _over(self, now_ns: int) -> bool:
        """What comes after the end of the caller's turn is of no interest."""
        now_ms = (now_ns - BASE_NS) / MS
        if self.item.barge_in:
            return False
        return any(step.at_ms >= self.hearing.truth.end_ms and step.what in ENDS for step in self.steps) and now_ms > 0

    def _feed(self, signal: on.Signal) -> None:
        waiting = [signal]
        while waiting:
            current = waiting.pop(0)
            for decision in self._taker.handle(current):
                waiting += self._carry_out(decision, current.at_ns)

    def _deliver(self, entry: tuple[int, int, on.Signal, "_Utterance | None", int]) -> None:
        _, _, signal, utterance, dip = entry
        if utterance is not None and (not utterance.open or (dip >= 0 and utterance.dips != dip)):
            return
        self._feed(signal)

    def _carry_out(self, decision: do.Decision, now_ns: int) -> list[on.Signal]:
        if (what := NOTICED.get(type(decision))) is not None:
            self.steps.append(Step((now_ns - BASE_NS) / MS, what, str(getattr(decision, "reason", ""))))
        utterance = self._utterance
        match decision:
            case do.StartSpeech(number, onset_ns):
                start = max(0, self.hearing.position(now_ns) - PREROLL_SAMPLES)
                self._utterance = _Utterance(number, onset_ns, start, self.hearing.position(now_ns))
            case do.PauseSpeech() | do.Finalize() if utterance is not None:
                if isinstance(decision, do.PauseSpeech):
                    utterance.dips += 1
                    self._predict(utterance, now_ns)
                self._text(utterance, now_ns)
            case do.AskTurnModel() if utterance is not None:
                self._predict(utterance, now_ns)
            case do.AskWords() if utterance is not None:
                self._words(utterance, now_ns)
            case do.ResumeSpeech() if utterance is not None:
                # Answers under way are void.
                utterance.dips += 1
            case do.EndTurn() | do.UnclearTurn() | do.Discard() | do.FailTurn() if utterance is not None:
                utterance.open = False
                self._utterance = None
            case do.StopPlayout():
                self._speaking = False
                return [on.AgentChanged(now_ns, "idle")]
            case _:
                pass
        return []

    def _predict(self, utterance: _Utterance, now_ns: int) -> None:
        start = self.hearing.position_at(utterance.onset_ns - TURN_PREROLL_NS, now_ns, KEEP_SAMPLES)
        answer: float = self.outputs.get(Ask("turn", self.hearing.sha, start, self.hearing.position(now_ns)))
        at_ns = now_ns + self.latencies.predict_ms * MS
        self._later(on.TurnPrediction(at_ns, utterance.number, answer), utterance, utterance.dips)

    def _text(self, utterance: _Utterance, now_ns: int) -> None:
        end = self.hearing.position(now_ns)
        answer = self.outputs.get(Ask("text", self.hearing.sha, utterance.asr_from, end))
        at_ns = now_ns + self.latencies.asr_ms * MS
        self._later(final_text(answer, at_ns, utterance.number), utterance, utterance.dips)

    def _words(self, utterance: _Utterance, now_ns: int) -> None:
        answer = self.outputs.get(Ask("text", self.hearing.sha, utterance.asr_from, self.hearing.position(now_ns)))
        at_ns = now_ns + self.latencies.asr_ms * MS
        doubts = (float(answer["avg_logprob"]), float(answer["no_speech_prob"]))
        text = on.PartialText(at_ns, utterance.number, str(answer["text"]), True, *doubts)
        self._later(text, utterance, utterance.dips)

    def _partials(self, index: int, vad: Sequence[float]) -> None:
        """Ask for a partial where the service would make one: every 500 ms after the onset was known."""
        utterance = self._utterance
        if utterance is None:
            return
        frame = self.hearing.frames[index]
        end = self.hearing.position(frame.received_ns)
        before = self.hearing.position(self.hearing.frames[index - 1].received_ns) if index else 0
        due = (end - utterance.partials_from) // PARTIAL_SAMPLES
        if due <= max(0, before - utterance.partials_from) // PARTIAL_SAMPLES:
            return
        soon = vad[index : index + PARTIAL_INTERVAL_MS // 32]
        if not (self._speaking or self._taker.noisy_line) and min(soon, default=1.0) >= _VOICED:
            return
        end = utterance.partials_from + due * PARTIAL_SAMPLES
        answer = self.outputs.get(Ask("text", self.hearing.sha, utterance.asr_from, end))
        at_ns = frame.received_ns + self.latencies.partial_ms * MS
        self._later(on.PartialText(at_ns, utterance.number, str(answer["text"])), utterance, -1)

    def _later(self, signal: on.Signal, utterance: _Utterance, dip: int) -> None:
        self._order += 1
        heapq.heappush(self._queue, (signal.at_ns, self._order, signal, utterance, dip))


ENDS = ("end", "unclear", "fail")


def final_text(answer: Any, at_ns: int, utterance: int) -> on.FinalText:
    """The recogniser's answer as the turn-taker gets it."""
    return on.FinalText(
        at_ns,
        utterance,
        str(answer["text"]),
        True,
        avg_logprob=float(answer["avg_logprob"]),
        no_speech_prob=float(answer["no_speech_prob"]),
        language=str(answer["language"]),
        language_probability=float(answer["language_probability"]),
        ending=answer["ending"],
    )


def _expectation(item: Item) -> Expectation:
    kinds = {"digits": "digits", "spelling": "spelling", "date": "date", "yes_no": "yes_no"}
    kind = kinds.get(item.expects, "open")
    return Expectation(kind=kind, length=item.expects_length)  # type: ignore[arg-type]
