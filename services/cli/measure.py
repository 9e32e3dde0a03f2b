"""What a caller hears, measured from the audio alone: when the agent speaks, stops, and what is missing.

Nothing here asks the stack. Times come from `Track`s: sample-exact for what was sent, per packet for what came
back. Speech is found by level: 5 ms windows every 1 ms against a threshold above the track's own noise floor,
then the edge is refined to 1 ms. Clean onsets are found within ±5 ms (tests/cli/test_measure.py).
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from services.cli.caller import FRAME_MS, Pcm, Track

# Speech must be this much above the noise floor (comfort noise), and above an absolute floor (dBFS).
ABOVE_NOISE_DB = 10.0
LEAST_DBFS = -46.0
# The floor is the quiet tenth of the track, but never taken to be louder than this: a track may be all speech.
LOUDEST_NOISE_DBFS = -40.0
_WINDOW_MS = 5
# Shorter bursts are clicks; shorter dips are inside a word.
_LEAST_BURST_MS = 25
_DIP_MS = 40
# Pauses inside one agent utterance are shorter than this (clause pauses of the voice included).
PAUSE_MS = 350
# An agent that spoke within this before the caller's onset counts as speaking (between two words).
_STILL_SPEAKING_MS = 150
# Silence after which what follows is a new utterance, not the rest of the interrupted one.
_STOPPED_MS = 600
# A gap of the caller's own making, in the middle of an utterance, that an agent may take for a pause.
_CALLER_GAP_MS = 80
# A hole is digital silence this long between two loud edges.
_HOLE_MS = 15
_EDGE_MS = 3
_EDGE_DBFS = -38.0
# An agent that goes on within this has resumed; later it has begun something new. Deciding takes it 0.5 s, and a cough
# may come in two bursts.
_RESUMED_MS = 1500
# A silence that begins later than this after the sound has nothing to do with it.
_REACTION_MS = 1200
# The stack's time of the end of an answer and ours are the same event when they are this close.
_SAME_END_MS = 400


AsideKind = Literal["cough", "backchannel"]


@dataclass(frozen=True, slots=True)
class Span:
    """Speech from sample `start` up to, not including, `end`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Utterance:
    """One thing the caller said: its first and last speech sample in the sent track."""

    turn: int
    start: int
    end: int
    barge_in: bool = False
    # A sound beside the talk: no turn of its own.
    aside: AsideKind | None = None


AsideOutcome = Literal["went_on", "resumed", "answered_instead", "stopped", "agent_was_silent"]


@dataclass(frozen=True, slots=True)
class AsideHeard:
    """What the agent did when the caller coughed or said "mhm" while it spoke.

    `went_on`: no silence beyond a natural pause; `resumed`: it fell silent and went on with the same answer, soon;
    `answered_instead`: it gave up its answer and spoke again later; `stopped`: nothing followed; `agent_was_silent`:
    there was nothing to disturb. `hole_ms` is the longest silence of an agent that went on or resumed.
    """

    turn: int
    kind: AsideKind
    outcome: AsideOutcome
    onset_ns: int
    hole_ms: float | None = None


Outcome = Literal["answered", "unanswered", "cut_off", "talked_over", "caller_late"]


@dataclass(frozen=True, slots=True)
class TurnHeard:
    """One turn as the caller heard it. Times in CLOCK_MONOTONIC ns.

    `answered`: the agent spoke after the caller's end of speech. `cut_off`: it began while the caller was still
    speaking (it may have spoken again after it: `answer_ns`). `talked_over`: it was speaking when the caller began
    and did not stop. `caller_late`: our own caller left a gap in what it said, so the turn says nothing about the
    stack. Only `answered` has a voice-to-voice; only a barge-in that stopped the agent has a stop time.
    """

    turn: int
    barge_in: bool
    outcome: Outcome
    onset_ns: int
    end_ns: int
    answer_ns: int | None = None
    voice_to_voice_ms: float | None = None
    barge_in_stop_ms: float | None = None


def dbfs(pcm: Pcm | NDArray[np.float64]) -> float:
    """RMS level against full scale; −120 for silence."""
    if not len(pcm):
        return -120.0
    power = float(np.mean(np.square(pcm.astype(np.float64)))) / 32768.0**2
    return 10 * float(np.log10(max(power, 1e-12)))


def speech_spans(pcm: Pcm, rate_hz: int, *, pause_ms: int = PAUSE_MS, least_dbfs: float = LEAST_DBFS) -> list[Span]:
    """Speech in `pcm`, utterances apart by at least `pause_ms`; clicks and comfort noise are not speech."""
    hop = rate_hz // 1000
    levels = _levels(pcm, hop)
    threshold = _threshold(levels, least_dbfs)
    active = levels > threshold
    runs = _merge(_runs(active), _DIP_MS)
    # A window reaches 4 ms past its own hop, so the run is longer than the burst by that much.
    kept = [run for run in runs if run.end - run.start >= _LEAST_BURST_MS]
    spans = []
    for run in _merge(kept, pause_ms):
        start, end = _refine(pcm, run, hop, threshold)
        spans.append(Span(start, end))
    return spans


def trim(pcm: Pcm, rate_hz: int, least_dbfs: float = LEAST_DBFS) -> Span | None:
    """First and last speech of a recorded clip; None when there is none."""
    spans = speech_spans(pcm, rate_hz, least_dbfs=least_dbfs)
    return Span(spans[0].start, spans[-1].end) if spans else None


def dropped_frames(heard: Track) -> int:
    """20 ms frames missing in the agent's speech: holes of digital silence, and audio that never came.

    A hole is at least 15 ms of exact zeros whose edges on both sides are loud: speech does not stop and start
    like that, a starved sender does. Audio that never came is a lasting rise of the stream's delay inside speech
    (packets that were only late catch up again).
    """
    audio = heard.audio()
    spans = speech_spans(audio, heard.rate_hz)
    return sum(_holes(audio[s.start : s.end], heard.rate_hz) + _missing(heard, s) for s in spans if s.end > s.start)


def hear_turns(utterances: Sequence[Utterance], sent: Track, heard: Track) -> list[TurnHeard]:
    """Every turn of a call as its caller heard it."""
    audio = heard.audio()
    whole = [_timed(heard, span) for span in speech_spans(audio, heard.rate_hz)]
    words = [_timed(heard, span) for span in speech_spans(audio, heard.rate_hz, pause_ms=_DIP_MS)]
    turns = []
    for index, said in enumerate(utterances):
        following = utterances[index + 1] if index + 1 < len(utterances) else None
        until_ns = _timed(sent, following)[1] if following else heard.time_ns(heard.samples)
        turns.append(_hear_turn(said, sent, whole, words, until_ns))
    return turns


def hear_asides(
    asides: Sequence[Utterance], sent: Track, heard: Track, until_ns: Sequence[int], completed_ns: Sequence[int] = ()
) -> list[AsideHeard]:
    """How the agent took each sound. `until_ns`: when the caller's next words began, one per sound. `completed_ns`:
    when, by the stack, an answer had gone out whole: that is an end, not a stop."""
    words = [_timed(heard, span) for span in speech_spans(heard.audio(), heard.rate_hz, pause_ms=_DIP_MS)]
    out = []
    for aside, limit_ns in zip(asides, until_ns, strict=True):
        onset_ns, end_ns = _timed(sent, aside)
        outcome, hole_ms = _aside_outcome(words, onset_ns, end_ns, limit_ns, completed_ns)
        out.append(AsideHeard(aside.turn, aside.aside or "cough", outcome, onset_ns, hole_ms))
    return out


def _aside_outcome(
    words: list[tuple[int, int]], onset_ns: int, end_ns: int, until_ns: int, completed_ns: Sequence[int]
) -> tuple[AsideOutcome, float | None]:
    still_ns = _STILL_SPEAKING_MS * 10**6
    after = [(a, b) for a, b in words if b >= onset_ns - still_ns and a < until_ns]
    if not after or after[0][0] > onset_ns:
        return "agent_was_silent", None
    gaps = [((b[0] - a[1]) / 1e6, a[1]) for a, b in itertools.pairwise(after)]
    hole_ms = 0.0
    for gap_ms, began_ns in gaps:
        if began_ns > end_ns + _REACTION_MS * 10**6:
            return ("went_on" if hole_ms < PAUSE_MS else "resumed"), hole_ms
        if gap_ms > _RESUMED_MS:
            return ("went_on", hole_ms) if _completed(began_ns, completed_ns) else ("answered_instead", None)
        hole_ms = max(hole_ms, gap_ms)
    last_ns = after[-1][1]
    if last_ns <= end_ns + _REACTION_MS * 10**6 and not _completed(last_ns, completed_ns):
        return "stopped", None
    return ("went_on" if hole_ms < PAUSE_MS else "resumed"), hole_ms


def _completed(at_ns: int, completed_ns: Sequence[int]) -> bool:
    return any(abs(at_ns - done_ns) <= _SAME_END_MS * 10**6 for done_ns in completed_ns)


def _hear_turn(
    said: Utterance, sent: Track, whole: list[tuple[int, int]], words: list[tuple[int, int]], until_ns: int
) -> TurnHeard:
    onset_ns, end_ns = _timed(sent, said)
    stop_ns = _stopped(words, onset_ns, end_ns)
    speaking = stop_ns is not None
    free_ns = stop_ns if stop_ns is not None else onset_ns
    answer_ns = next((start for start, _ in whole if end_ns <= start < until_ns), None)
    outcome: Outcome = "answered" if answer_ns is not None else "unanswered"
    if stop_ns is not None and stop_ns >= end_ns:
        outcome, answer_ns = "talked_over", None
    elif any(free_ns + _STOPPED_MS * 10**6 * speaking < start < end_ns for start, _ in whole):
        outcome = "cut_off"
    if _caller_gap_ms(sent, said) > _CALLER_GAP_MS:
        outcome = "caller_late"
    stopped = stop_ns is not None and outcome not in ("talked_over", "caller_late")
    return TurnHeard(
        turn=said.turn,
        barge_in=said.barge_in,
        outcome=outcome,
        onset_ns=onset_ns,
        end_ns=end_ns,
        answer_ns=answer_ns,
        voice_to_voice_ms=(answer_ns - end_ns) / 1e6 if answer_ns is not None and outcome == "answered" else None,
        barge_in_stop_ms=max(0.0, (stop_ns - onset_ns) / 1e6) if stopped and stop_ns is not None else None,
    )


def _caller_gap_ms(sent: Track, said: Utterance) -> float:
    """The longest time within the utterance in which nothing left although something was due."""
    inside = [c for c in sent.chunks if c.start + len(c.pcm) > said.start and c.start < said.end]
    waits = [(b.at_ns - a.at_ns) / 1e6 - len(a.pcm) * 1e3 / sent.rate_hz for a, b in itertools.pairwise(inside)]
    return max(waits, default=0.0)


def _stopped(words: list[tuple[int, int]], onset_ns: int, end_ns: int) -> int | None:
    """When the agent that was speaking at `onset_ns` was last heard; None when it was not speaking."""
    last: int | None = None
    for start, end in words:
        if start >= end_ns:
            break
        if last is None:
            if start <= onset_ns and end >= onset_ns - _STILL_SPEAKING_MS * 10**6:
                last = end
        elif start - last < _STOPPED_MS * 10**6:
            last = end
    return last


def _timed(track: Track, span: Span | Utterance) -> tuple[int, int]:
    """When the span began and ended. The end is that of its last sample: the next may come much later."""
    last = track.time_ns(max(span.start, span.end - 1))
    return track.time_ns(span.start), last + 10**9 // track.rate_hz


def _levels(pcm: Pcm, hop: int) -> NDArray[np.float64]:
    """dBFS of the 5 ms that begin at every millisecond."""
    blocks = len(pcm) // hop
    if blocks == 0:
        return np.zeros(0)
    power = np.square(pcm[: blocks * hop].astype(np.float64)).reshape(blocks, hop).mean(axis=1)
    padded = np.concatenate([power, np.zeros(_WINDOW_MS - 1)])
    sums = np.convolve(padded, np.ones(_WINDOW_MS), mode="valid") / _WINDOW_MS
    levels: NDArray[np.float64] = 10 * np.log10(np.maximum(sums / 32768.0**2, 1e-12))
    return levels


def _threshold(levels: NDArray[np.float64], least_dbfs: float) -> float:
    if not len(levels):
        return least_dbfs
    floor = min(float(np.percentile(levels, 10)), LOUDEST_NOISE_DBFS)
    return max(least_dbfs, floor + ABOVE_NOISE_DB)


def _runs(active: NDArray[np.bool_]) -> list[Span]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], active, [False]]).astype(np.int8)))
    return [Span(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _merge(runs: list[Span], gap: int) -> list[Span]:
    merged: list[Span] = []
    for run in runs:
        if merged and run.start - merged[-1].end < gap:
            merged[-1] = Span(merged[-1].start, run.end)
        else:
            merged.append(run)
    return merged


def _refine(pcm: Pcm, run: Span, hop: int, threshold: float) -> tuple[int, int]:
    """The first and last millisecond of the run whose own level is above the threshold, in samples."""
    first, last = run.start, run.end + _WINDOW_MS - 1
    blocks = range(first, min(last, len(pcm) // hop))
    loud = [b for b in blocks if dbfs(pcm[b * hop : (b + 1) * hop]) > threshold]
    if not loud:
        return run.start * hop, run.end * hop
    return loud[0] * hop, (loud[-1] + 1) * hop


def _holes(speech: Pcm, rate_hz: int) -> int:
    least, edge = _HOLE_MS * rate_hz // 1000, _EDGE_MS * rate_hz // 1000
    frames = 0
    for run in _runs(speech == 0):
        length = run.end - run.start
        if length < least:
            continue
        before, after = speech[max(0, run.start - edge) : run.start], speech[run.end : run.end + edge]
        if len(before) and len(after) and min(dbfs(before), dbfs(after)) > _EDGE_DBFS:
            frames += max(1, round(length * 1000 / rate_hz / FRAME_MS))
    return frames


def _missing(heard: Track, span: Span) -> int:
    """Frames by which the stream's delay rose for good inside `span`."""
    inside = [c for c in heard.chunks if c.start + len(c.pcm) > span.start and c.start < span.end]
    lag_ms = [c.at_ns / 1e6 - c.start * 1e3 / heard.rate_hz for c in inside]
    if len(lag_ms) < 2:
        return 0
    after = np.minimum.accumulate(np.array(lag_ms[::-1]))[::-1]
    rises = np.diff(after)
    return int(sum(round(rise / FRAME_MS) for rise in rises if rise >= 0.9 * FRAME_MS))
