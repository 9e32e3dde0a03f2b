"""From what the callers heard and what the stack reported to the one JSON document of a benchmark. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.cli.caller import CallerLeg
from services.cli.declared import Declared
from services.cli.measure import TurnHeard, Utterance
from services.cli.stats import StageSample, agreement, by_stage, distribution, matched

# Heard and reported may differ by one frame, and by what lies between them by design: the packet that carries the
# end of speech is 20 ms long, the stack counts from its arrival; reception by the caller's worker polls every 2 ms.
AGREE_WITHIN_MS = 20.0
KNOWN_BETWEEN_MS = 20.0
PERCENTILES = "linear interpolation between order statistics (Hyndman & Fan type 7)"
# Heard in the audio; every other stage is the stack's own report.
FROM_AUDIO = ("voice_to_voice", "barge_in_stop")


@dataclass(slots=True)
class CallResult:
    """One test call."""

    index: int
    started_ns: int
    ended_ns: int = 0
    call_id: str = ""
    codec: str = ""
    ended: str = ""
    error: str = ""
    turns: list[TurnHeard] = field(default_factory=list)
    dropped_frames: int = 0
    lost_packets: int = 0
    # Until it is analysed.
    leg: CallerLeg | None = None
    said: Sequence[Utterance] = ()

    @property
    def minutes(self) -> float:
        """Length of the call."""
        return max(0, self.ended_ns - self.started_ns) / 60e9


@dataclass(frozen=True, slots=True)
class BenchData:
    """Everything measured."""

    calls: Sequence[CallResult]
    samples: Sequence[StageSample]
    declared: Declared | None
    # What the stack's jitter buffer may hold of the caller's speech, unseen by its own figures.
    jitter_buffer_ms: int = 0


def result(data: BenchData, facts: Mapping[str, Any], processes: Mapping[str, Any]) -> dict[str, Any]:
    """The benchmark file. `facts`: request, machine, commit, models, profile; `processes`: CPU and memory."""
    turns = [(call, turn) for call in data.calls for turn in call.turns]
    heard = [(c.call_id, t.answer_ns, t.voice_to_voice_ms) for c, t in turns if t.answer_ns and t.voice_to_voice_ms]
    stopped = [t.barge_in_stop_ms for _, t in turns if t.barge_in and t.barge_in_stop_ms is not None]
    reported = {stage: distribution(values).to_json() for stage, values in by_stage(data.samples).items()}
    stages = {
        **reported,
        "voice_to_voice": distribution(ms for _, _, ms in heard).to_json(),
        "barge_in_stop": distribution(stopped).to_json(),
    }
    pairs = matched(heard, data.samples)
    return {
        **facts,
        "stages": stages,
        "stages_reported": {stage: reported[stage] for stage in FROM_AUDIO if stage in reported},
        "overhead": overhead([ms for _, _, ms in heard], data.declared),
        "agreement": {
            "voice_to_voice": agreement(pairs, AGREE_WITHIN_MS + KNOWN_BETWEEN_MS),
            "with_full_jitter_buffer": agreement(pairs, AGREE_WITHIN_MS + KNOWN_BETWEEN_MS + data.jitter_buffer_ms),
            "meaning": "heard minus reported for the same turn: within one 20 ms frame plus the packet in between; "
            "and with a jitter buffer that has grown to its limit",
        },
        "dropped_frames": sum(call.dropped_frames for call in data.calls),
        "lost_packets": sum(call.lost_packets for call in data.calls),
        "outcomes": dict(Counter(turn.outcome for _, turn in turns)),
        "calls": {
            "started": len(data.calls),
            "failed": sum(bool(call.error) for call in data.calls),
            "minutes": round(sum(call.minutes for call in data.calls), 2),
            "errors": sorted({call.error for call in data.calls if call.error}),
        },
        "processes": dict(processes),
        "method": {
            "percentiles": PERCENTILES,
            "from_audio": list(FROM_AUDIO),
            "from_the_stack": [stage for stage in reported if stage not in FROM_AUDIO],
        },
        "turns": [turn_row(call, turn, data.samples) for call, turn in turns],
    }


def overhead(values_ms: Sequence[float], declared: Declared | None) -> dict[str, Any] | None:
    """Voice-to-voice minus what the scripted models declare; None with real models, where nothing is declared."""
    if declared is None:
        return None
    over = distribution(ms - declared.total_ms for ms in values_ms)
    return {"n": over.n, "p50_ms": over.p50_ms, "p95_ms": over.p95_ms, "declared": declared.to_json()}


def turn_row(call: CallResult, turn: TurnHeard, samples: Sequence[StageSample]) -> dict[str, Any]:
    """One turn: as heard, and the stack's own stages of the same turn (by the end of its voice-to-voice)."""
    return {
        "call": call.index,
        "turn": turn.turn,
        "barge_in": turn.barge_in,
        "outcome": turn.outcome,
        "voice_to_voice_ms": _round(turn.voice_to_voice_ms),
        "barge_in_stop_ms": _round(turn.barge_in_stop_ms),
        "reported": _reported(call, turn, samples),
    }


def _reported(call: CallResult, turn: TurnHeard, samples: Sequence[StageSample]) -> dict[str, float]:
    if turn.answer_ns is None or not call.call_id:
        return {}
    answer_ns = turn.answer_ns
    own = [s for s in samples if s.call_id == call.call_id]
    ends = [s for s in own if s.stage == "voice_to_voice" and abs(s.at_ns - answer_ns) < 1_000_000_000]
    if not ends:
        return {}
    number = min(ends, key=lambda s: abs(s.at_ns - answer_ns)).turn
    return {s.stage: round(s.ms, 1) for s in own if s.turn == number}


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
