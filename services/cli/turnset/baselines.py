"""Two systems to compare with: a plain VAD timeout, and the turn model alone as its authors publish it. Pure.

Both hear the same frames of the same VAD. The VAD timeout ends the turn when no frame was speech for `timeout_ms`.

The turn model alone is pipecat's user-turn strategy with smart-turn at its defaults: VAD with `stop_secs` 0.2 asks the
model; p > 0.5 ends the turn, else the turn ends after `SmartTurnParams.stop_secs` = 3 s of silence; the model hears at
most 8 s from 500 ms (`pre_speech_ms`) before the turn's first speech (pipecat
src/pipecat/audio/turn/smart_turn/base_smart_turn.py and docs.pipecat.ai, "Smart Turn Overview"). Interruptions as
there: `start_secs` 0.2 of speech at a confidence of 0.7 stop the agent for good; its volume gate is left out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.cli.turnset.hearing import BASE_NS, Hearing
from services.cli.turnset.outputs import Ask, Outputs
from services.cli.turnset.replay import LATENCIES, Latencies, Step
from services.orchestrator.media.audio import MODEL_RATE_HZ

FRAME_MS = 32
_SPEECH, _SILENCE = 0.5, 0.35
_ONSET_FRAMES = 2
_KEEP_SAMPLES = 8 * MODEL_RATE_HZ
PRE_SPEECH_MS = 500
STOP_SECS_MS = 3_000
# Silence before the model is asked: as published, and earlier, because 200 ms can never give a wait of 300 ms.
VAD_STOPS_MS = (200, 128)
PUBLISHED_THRESHOLD = 0.5
_PIPECAT_CONFIDENCE, _PIPECAT_START_FRAMES = 0.7, 6


@dataclass(frozen=True, slots=True)
class Silence:
    """After speech: from the end of the last speech frame to the first one again (None: it stays silent), ms."""

    start_ms: float
    end_ms: float | None

    def lasts(self, ms: float) -> bool:
        """No speech was heard for so long."""
        return self.end_ms is None or self.end_ms - self.start_ms > ms


def silences(hearing: Hearing, vad: Sequence[float]) -> tuple[float | None, list[Silence]]:
    """Onset of the first speech (None: none), and every silence after speech; hysteresis as in the turn-taker."""
    found: list[Silence] = []
    first: float | None = None
    voiced, run, last_ms = False, 0, 0.0
    start_ms: float | None = None
    for frame, probability in zip(hearing.frames, vad, strict=True):
        end_ms = (frame.end_ns - BASE_NS) / 1e6
        if voiced:
            if probability >= _SILENCE:
                last_ms = end_ms
            else:
                voiced, run, start_ms = False, 0, last_ms
            continue
        run = run + 1 if probability >= _SPEECH else 0
        if run >= _ONSET_FRAMES:
            onset_ms = end_ms - _ONSET_FRAMES * FRAME_MS
            first = onset_ms if first is None else first
            if start_ms is not None:
                found.append(Silence(start_ms, onset_ms))
            voiced, last_ms, start_ms = True, end_ms, None
    if start_ms is not None:
        found.append(Silence(start_ms, None))
    return first, found


def vad_timeout(quiet: Sequence[Silence], timeout_ms: float, latencies: Latencies = LATENCIES) -> list[Step]:
    """Ends of turns."""
    return [
        Step(silence.start_ms + timeout_ms + latencies.vad_ms, "end", "timeout")
        for silence in quiet
        if silence.lasts(timeout_ms)
    ]


def turn_asks(hearing: Hearing, first_ms: float | None, quiet: Sequence[Silence], stop_ms: int) -> Iterator[Ask]:
    """What the model is asked, one question per silence that lasts `stop_ms`, in order."""
    for silence in quiet:
        if silence.lasts(stop_ms):
            now_ns = BASE_NS + round((silence.start_ms + stop_ms) * 1e6)
            heard_ns = BASE_NS + round(((first_ms or 0.0) - PRE_SPEECH_MS) * 1e6)
            start = hearing.position_at(heard_ns, now_ns, _KEEP_SAMPLES)
            yield Ask("turn", hearing.sha, start, hearing.position(now_ns))


def turn_model(
    hearing: Hearing,
    outputs: Outputs,
    heard: tuple[float | None, Sequence[Silence]],
    threshold: float,
    stop_ms: int,
    latencies: Latencies = LATENCIES,
) -> list[Step]:
    """Ends of turns. `heard`: of `silences`. Raises MissingOutputError."""
    first_ms, quiet = heard
    lasting = [silence for silence in quiet if silence.lasts(stop_ms)]
    steps = []
    for silence, ask in zip(lasting, turn_asks(hearing, first_ms, quiet, stop_ms), strict=True):
        if float(outputs.get(ask)) > threshold:
            at_ms = silence.start_ms + stop_ms + latencies.vad_ms + latencies.predict_ms
            steps.append(Step(at_ms, "end", "model"))
        elif silence.lasts(STOP_SECS_MS):
            steps.append(Step(silence.start_ms + STOP_SECS_MS + latencies.vad_ms, "end", "timeout"))
    return steps


def interrupts(hearing: Hearing, vad: Sequence[float], confidence: float, frames: int) -> list[Step]:
    """Speech that stops the agent for good, without a second thought: so many frames in a row."""
    run = 0
    for frame, probability in zip(hearing.frames, vad, strict=True):
        run = run + 1 if probability >= confidence else 0
        if run >= frames:
            at_ms = (frame.received_ns - BASE_NS) / 1e6 + LATENCIES.vad_ms
            return [Step(at_ms, "pause"), Step(at_ms, "stop", "speech")]
    return []


def vad_interrupts(hearing: Hearing, vad: Sequence[float]) -> list[Step]:
    """The plain VAD: the turn-taker's own onset rule, and stop."""
    return interrupts(hearing, vad, _SPEECH, _ONSET_FRAMES)


def pipecat_interrupts(hearing: Hearing, vad: Sequence[float]) -> list[Step]:
    """pipecat's VAD at its defaults."""
    return interrupts(hearing, vad, _PIPECAT_CONFIDENCE, _PIPECAT_START_FRAMES)
