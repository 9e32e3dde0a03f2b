"""From what the callers heard and what the stack reported to one cell of a benchmark file. Pure.

A cell is one load: so many calls over one transport with one caller script. A benchmark of one cell is written as that
cell itself; a sweep as a list under `cells`. `documents.py` reads both, and files of older schemas.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.cli.benchmark.bootstrap import percentile_intervals
from services.cli.caller import CallerLeg
from services.cli.conversation import Line
from services.cli.declared import Declared
from services.cli.measure import AsideHeard, TurnHeard, Utterance
from services.cli.stats import REPORTED_STAGES, StageSample, agreement, distribution, matched

SCHEMA = "trunkline-voice-to-voice/2"
# Heard and reported may differ by one frame, and by what lies between them by design: the packet that carries the
# end of speech is 20 ms long, the stack counts from its arrival; reception by the caller's worker polls every 2 ms.
AGREE_WITHIN_MS = 20.0
KNOWN_BETWEEN_MS = 20.0
PERCENTILES = "linear interpolation between order statistics (Hyndman & Fan type 7)"
# Heard in the audio; every other stage is the stack's own report.
FROM_AUDIO = ("voice_to_voice", "barge_in_stop")
PERCENTS = (50, 95, 99)
# Values of one stage, per call.
Values = Mapping[int, Sequence[float]]


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
    # The stack said no before media flowed (busy, overloaded): what admission is for, not a fault of the call.
    refused: bool = False
    lines: Sequence[Line] = ()
    turns: list[TurnHeard] = field(default_factory=list)
    asides: list[AsideHeard] = field(default_factory=list)
    dropped_frames: int = 0
    lost_packets: int = 0
    # Until it is analysed.
    leg: CallerLeg | None = None
    said: Sequence[Utterance] = ()
    beside: Sequence[Utterance] = ()
    # When the stack said that an agent turn had gone out whole.
    completed_ns: Sequence[int] = ()

    @property
    def minutes(self) -> float:
        """Length of the call."""
        return max(0, self.ended_ns - self.started_ns) / 60e9

    def line(self, turn: int) -> Line | None:
        """What the plan had for that turn."""
        return self.lines[turn - 1] if 0 < turn <= len(self.lines) else None


@dataclass(frozen=True, slots=True)
class BenchData:
    """Everything measured in one cell."""

    calls: Sequence[CallResult]
    samples: Sequence[StageSample]
    declared: Declared | None
    # What the stack's jitter buffer may hold of the caller's speech, unseen by its own figures.
    jitter_buffer_ms: int = 0


def cell_result(data: BenchData, facts: Mapping[str, Any], processes: Mapping[str, Any]) -> dict[str, Any]:
    """One cell. `facts`: `cell` (transport, calls, script) and what else is known; `processes`: CPU and memory."""
    turns = [(call, turn) for call in data.calls for turn in call.turns]
    heard = [(c.call_id, t.answer_ns, t.voice_to_voice_ms) for c, t in turns if t.answer_ns and t.voice_to_voice_ms]
    values = stage_values(data)
    reported = {stage: figures(by_call) for stage, by_call in values.items() if stage not in FROM_AUDIO}
    pairs = matched(heard, data.samples)
    return {
        **facts,
        "stages": {**reported, **{stage: figures(values.get(stage, {})) for stage in FROM_AUDIO}},
        "stages_reported": {s: figures(v) for s, v in _reported_values(data, FROM_AUDIO).items() if v},
        "overhead": overhead(values.get("voice_to_voice", {}), data.declared),
        "agreement": {
            "voice_to_voice": agreement(pairs, AGREE_WITHIN_MS + KNOWN_BETWEEN_MS),
            "with_full_jitter_buffer": agreement(pairs, AGREE_WITHIN_MS + KNOWN_BETWEEN_MS + data.jitter_buffer_ms),
            "meaning": "heard minus reported for the same turn: within one 20 ms frame plus the packet in between; "
            "and with a jitter buffer that has grown to its limit",
        },
        "dropped_frames": sum(call.dropped_frames for call in data.calls),
        "lost_packets": sum(call.lost_packets for call in data.calls),
        "outcomes": dict(Counter(turn.outcome for _, turn in turns)),
        "situations": situations(data.calls),
        "calls": {
            "started": len(data.calls),
            "refused": sum(call.refused for call in data.calls),
            "failed": sum(bool(call.error) and not call.refused for call in data.calls),
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
        "values": {stage: {str(call): list(v) for call, v in by_call.items()} for stage, by_call in values.items()},
    }


def figures(by_call: Values) -> dict[str, Any]:
    """n, P50, P95, P99 of all values together, and their 95 % intervals."""
    row: dict[str, Any] = distribution(v for values in by_call.values() for v in values).to_json()
    for percent, interval in zip(PERCENTS, percentile_intervals(list(by_call.values()), PERCENTS), strict=True):
        row[f"p{percent}_ci_ms"] = interval.to_json() if interval else None
    return row


def stage_values(data: BenchData) -> dict[str, dict[int, list[float]]]:
    """Per stage and call (its number), in ms: what was heard for the stages of the audio, else what was reported."""
    reported = _reported_values(data, [s for s in _stages(data.samples) if s not in FROM_AUDIO])
    heard: dict[str, dict[int, list[float]]] = {stage: {} for stage in FROM_AUDIO}
    for call in data.calls:
        for turn in call.turns:
            if turn.voice_to_voice_ms is not None and turn.answer_ns:
                heard["voice_to_voice"].setdefault(call.index, []).append(round(turn.voice_to_voice_ms, 1))
            if turn.barge_in and turn.barge_in_stop_ms is not None:
                heard["barge_in_stop"].setdefault(call.index, []).append(round(turn.barge_in_stop_ms, 1))
    return {**reported, **heard}


def _stages(samples: Sequence[StageSample]) -> list[str]:
    present = {sample.stage for sample in samples}
    return [s for s in REPORTED_STAGES if s in present] + sorted(present - set(REPORTED_STAGES))


def _reported_values(data: BenchData, stages: Sequence[str]) -> dict[str, dict[int, list[float]]]:
    number = {call.call_id: call.index for call in data.calls if call.call_id}
    values: dict[str, dict[int, list[float]]] = {stage: {} for stage in stages}
    for sample in data.samples:
        if sample.stage in values:
            values[sample.stage].setdefault(number.get(sample.call_id, 0), []).append(round(sample.ms, 1))
    return values


def overhead(by_call: Values, declared: Declared | None) -> dict[str, Any] | None:
    """Voice-to-voice minus what the scripted models declare; None with real models, where nothing is declared."""
    if declared is None:
        return None
    over = figures({call: [ms - declared.total_ms for ms in values] for call, values in by_call.items()})
    return {**over, "declared": declared.to_json()}


def situations(calls: Sequence[CallResult]) -> dict[str, dict[str, Any]]:
    """How each kind of thing a caller does went, counted by name; only what was done."""
    counts: dict[str, Counter[str]] = {}
    holes: dict[str, dict[int, list[float]]] = {}
    for call in calls:
        for turn in call.turns:
            line = call.line(turn.turn)
            if line is not None and line.gap_ms:
                held = {"answered": "held", "cut_off": "false_cut_off"}.get(turn.outcome, turn.outcome)
                counts.setdefault("pause", Counter())[held] += 1
            if turn.barge_in:
                counts.setdefault("interruption", Counter())[_interruption(turn)] += 1
        for aside in call.asides:
            counts.setdefault(aside.kind, Counter())[aside.outcome] += 1
            if aside.hole_ms is not None:
                holes.setdefault(aside.kind, {}).setdefault(call.index, []).append(round(aside.hole_ms, 1))
    return {
        kind: {"n": sum(c.values()), "outcomes": dict(c), **({"hole": figures(holes[kind])} if kind in holes else {})}
        for kind, c in counts.items()
    }


def _interruption(turn: TurnHeard) -> str:
    if turn.outcome in ("talked_over", "caller_late"):
        return turn.outcome
    if turn.barge_in_stop_ms is None:
        return "agent_was_silent"
    return "stopped_and_answered" if turn.outcome == "answered" else f"stopped_then_{turn.outcome}"


def turn_row(call: CallResult, turn: TurnHeard, samples: Sequence[StageSample]) -> dict[str, Any]:
    """One turn: as heard, and the stack's own stages of the same turn (by the end of its voice-to-voice).

    `timeline`: each stage's [start, end] in ms from the end of the caller's speech.
    """
    own = _same_turn(call, turn, samples)
    line = call.line(turn.turn)
    return {
        "call": call.index,
        "turn": turn.turn,
        "barge_in": turn.barge_in,
        **({"gap_ms": line.gap_ms} if line is not None and line.gap_ms else {}),
        "outcome": turn.outcome,
        "voice_to_voice_ms": _round(turn.voice_to_voice_ms),
        "barge_in_stop_ms": _round(turn.barge_in_stop_ms),
        "speech_ms": round((turn.end_ns - turn.onset_ns) / 1e6, 1),
        "reported": {s.stage: round(s.ms, 1) for s in own},
        "timeline": {s.stage: _span(s, turn.end_ns) for s in own if s.stage != "barge_in_stop"},
    }


def _span(sample: StageSample, zero_ns: int) -> list[float]:
    end_ms = (sample.at_ns - zero_ns) / 1e6
    return [round(end_ms - sample.ms, 1), round(end_ms, 1)]


def _same_turn(call: CallResult, turn: TurnHeard, samples: Sequence[StageSample]) -> list[StageSample]:
    if turn.answer_ns is None or not call.call_id:
        return []
    answer_ns = turn.answer_ns
    own = [s for s in samples if s.call_id == call.call_id]
    ends = [s for s in own if s.stage == "voice_to_voice" and abs(s.at_ns - answer_ns) < 1_000_000_000]
    if not ends:
        return []
    number = min(ends, key=lambda s: abs(s.at_ns - answer_ns)).turn
    return [s for s in own if s.turn == number]


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
