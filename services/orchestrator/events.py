"""The typed event log of a call: the one source of metrics, traces, transcript, audit, console and replay.

Every event is frozen, carries the monotonic time at which it happened (`at_ns`), and holds personal data only
inside `Personal`. `to_json` renders one event; what becomes of personal fields is the reader's decision.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from services.common.personal import Personal

# Names of the stages of DESIGN §6, as used in metrics, events, API and benchmarks.
Stage = Literal[
    "vad_onset",
    "endpoint",
    "asr_final",
    "understand",
    "llm_ttft",
    "llm_first_clause",
    "tts_ttfa",
    "playout",
    "voice_to_voice",
    "barge_in_stop",
    "tool",
    "handoff",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base: when it happened, on CLOCK_MONOTONIC."""

    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStarted(Event):
    """A leg arrived (rings)."""

    transport: Literal["sip", "webrtc"]
    caller: Personal[str]
    callee: Personal[str]
    peer_reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAnswered(Event):
    """Media flows (again after a change of codec)."""

    codec: str
    rx_rate_hz: int
    tx_rate_hz: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechStarted(Event):
    """Caller's onset: `onset_ns` is the first voiced frame, `at_ns` when it was known."""

    utterance: int
    onset_ns: int
    during_playout: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechPaused(Event):
    """First dip; `last_voiced_ns` is the end of the last voiced frame."""

    utterance: int
    last_voiced_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechResumed(Event):
    """Speech went on after a dip: the provisional final is void."""

    utterance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnPredicted(Event):
    """The turn model's opinion at a dip."""

    utterance: int
    complete_probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialTranscript(Event):
    """Words so far."""

    utterance: int
    stable: Personal[str]
    unstable: Personal[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalTranscript(Event):
    """What the caller said; provisional ones are void when speech goes on."""

    utterance: int
    provisional: bool
    text: Personal[str]
    avg_logprob: float
    no_speech_prob: float
    language: str
    rejection: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnEnded(Event):
    """The caller's turn is decided to be over."""

    turn: int
    utterance: int
    last_voiced_ns: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnDropped(Event):
    """Nothing to answer: a cough, noise, a backchannel, rejected text."""

    utterance: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyStarted(Event):
    """The reply to `turn` is being made (0: the greeting); `kind` says what speaks."""

    turn: int
    kind: Literal["reply", "greeting", "disclosure", "reprompt", "clarification", "apology", "goodbye", "filler"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyText(Event):
    """Text sent to TTS so far, as a clause becomes known."""

    turn: int
    text: Personal[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSpeechStarted(Event):
    """First packet of the agent's turn left."""

    turn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayoutPaused(Event):
    """Playing stopped at the caller's onset, undecided; `stopped_ns` is the last agent packet."""

    turn: int
    stopped_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayoutResumed(Event):
    """It was nothing: playing goes on."""

    turn: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BargeIn(Event):
    """The caller took the floor; `heard` is what of the agent's turn had left on the wire."""

    turn: int
    heard: Personal[str]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSpeechEnded(Event):
    """The agent's turn is over; `heard` is exactly what went out."""

    turn: int
    heard: Personal[str]
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DtmfReceived(Event):
    """A key was pressed; a masked one carries no digit."""

    digit: Personal[str]
    duration_ms: int
    masked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysCollected(Event):
    """The caller keyed an answer; of a masked one nothing is told but that it came."""

    keys: Personal[str]
    masked: bool
    reason: Literal["complete", "terminator", "timeout"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRead(Event):
    """A back end was asked; `records` None: it did not answer, `reason` says why."""

    turn: int
    tool: str
    records: int | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActJudged(Event):
    """The verdict on a proposed act: allowed, deny, step_up, human_review, or rejected (it lacks evidence)."""

    turn: int
    tool: str
    verdict: str
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActEnded(Event):
    """What became of an act: a state of its effect row, "mismatch" (asked before with other arguments), "not begun"."""

    turn: int
    tool: str
    effect_id: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoverAsked(Event):
    """A person is to take over; `route` and `reason` are names of the bundle."""

    route: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoverFailed(Event):
    """Nobody could be reached that way; what is done instead is the bundle's."""

    route: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldChanged(Event):
    """The far end put us on hold, or took us back."""

    held: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StageMeasured(Event):
    """A latency of DESIGN §6; `ms` from the stage's own start."""

    stage: Stage
    turn: int
    ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFailed(Event):
    """A model service did not answer; `will_retry` says what the call does next."""

    service: Literal["vad", "asr", "llm", "tts", "telephony", "database"]
    code: str
    will_retry: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRecovered(Event):
    """It answers again."""

    service: Literal["vad", "asr", "llm", "tts", "telephony", "database"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeculationSpent(Event):
    """At the end of a call: replies begun before the turn was decided, and what those that were of no use had cost."""

    begun: int
    committed: int
    dropped: int
    wasted_tokens: int
    wasted_speech_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded(Event):
    """Nothing follows."""

    cause: str
    detail: str


EVENT_TYPES: dict[str, type[Event]] = {
    cls.__name__: cls
    for cls in list(globals().values())
    if isinstance(cls, type) and issubclass(cls, Event) and cls is not Event
}


def to_json(event: Event, render: Callable[[Personal[str]], Any]) -> dict[str, Any]:
    """`{"type": …, "at_ns": …, fields…}`; `render` decides what a personal field becomes."""
    fields = {f.name: getattr(event, f.name) for f in dataclasses.fields(event)}
    return {
        "type": type(event).__name__,
        **{name: render(value) if isinstance(value, Personal) else value for name, value in fields.items()},
    }
