"""Settings of the process that owns calls: turns, admission, workers."""

from typing import Annotated, Literal

from pydantic import Field

from services.common.settings.base import Port, Positive, Section
from services.common.settings.media import FrontEndSettings, WebRtcSettings


class TurnSettings(Section):
    """The turn-taker's constants (ms); decisions themselves are in services.orchestrator.turns."""

    speech_threshold: float = 0.5
    silence_threshold: float = 0.35
    min_speech_ms: Positive = 64
    # First dip: provisional final and PredictTurn are asked.
    pause_ms: Positive = 128
    # Speech that goes on right after a dip was a gap between words: each such gap, up to three, lets the utterance's
    # later dips wait so much longer.
    later_dip_ms: Annotated[int, Field(ge=0)] = 40
    # What kind of caller to expect; the waits follow each caller's own pauses from there (turns/profile.py).
    profile: Literal["default", "elderly", "noisy", "dictation"] = "default"
    # End of turn: the shortest wait, the wait at even odds, the longest wait (turns/endpoint.py).
    endpoint_complete_ms: Positive = 220
    endpoint_unsure_ms: Positive = 1800
    endpoint_incomplete_ms: Positive = 2000
    # Moves every wait: later is safer, earlier is quicker.
    endpoint_shift_ms: int = 0
    # Replies prepared before the turn is over: at most so many for one utterance.
    max_speculations: Annotated[int, Field(ge=0)] = 3
    # Barge-in: playout pauses after so much speech; short sounds are given back by the second time, clear words stop
    # at once, and a sound that is neither has until the last time to become words (twice that while it goes on).
    barge_in_pause_ms: Positive = 64
    barge_in_decide_ms: Positive = 500
    barge_in_stop_speech_ms: Positive = 350
    barge_in_words_ms: Positive = 1000
    silence_reprompt_ms: Positive = 12_000
    # Silence is asked about so often (again, simpler, with an offer of keys or a person); then the call ends.
    max_reprompts: Annotated[int, Field(ge=0)] = 3
    # An answer that takes longer after the turn was decided gets a word of patience, and one more; 0: none.
    filler_ms: Annotated[int, Field(ge=0)] = 800
    filler_again_ms: Positive = 5_000
    # What the recogniser doubts is asked again, not acted upon (log-probability per token, p(no speech)); so often,
    # then help is offered.
    low_score_logprob: float = -0.9
    low_score_no_speech: Annotated[float, Field(ge=0, le=1)] = 0.6
    foreign_language_probability: Annotated[float, Field(ge=0, le=1)] = 0.8
    max_clarifications: Annotated[int, Field(ge=0)] = 2


class AdmissionSettings(Section):
    """New calls are refused (503, by HTTP and by SIP) when one more would make callers wait too long for an answer."""

    enabled: bool = True
    # Most that the predicted P95 of voice-to-voice may be. The cpu profile: one call alone has 1.5 s on two cores, and
    # a caller who waits 2.5 s asks whether somebody is there. nvidia: 800 ms.
    target_p95_ms: Positive = 2500
    # Turns and queues of so many seconds are looked at.
    window_s: Annotated[float, Field(ge=1, le=600)] = 30.0
    # With fewer turns in the window nothing is predicted from them, and only so many calls are taken.
    least_turns: Positive = 12
    cold_calls: Positive = 4
    # Once refusing, calls are taken again when the prediction is below this share of the target.
    resume_ratio: Annotated[float, Field(gt=0, le=1)] = 0.85
    # What refused callers are told (Retry-After).
    retry_after_s: Annotated[float, Field(gt=0)] = 5.0


class OrchestratorSettings(Section):
    """The process that owns calls."""

    metrics_port: Port = 9050
    # Processes that share the calls of this machine, each with an event loop of its own: about one per core that the
    # models leave free. Worker K's metrics are on metrics_port + 10 + K.
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    # Which of them this process is; `trunkline up` says it. 0: the only one.
    worker: Annotated[int, Field(ge=0, le=64)] = 0
    # Of each worker.
    max_calls: Positive = 60
    # Most audio ever committed to the wire, so that a flush is immediate.
    committed_ms: Annotated[int, Field(ge=20, le=60)] = 60
    llm_first_token_deadline_ms: Positive = 5000
    asr_final_deadline_ms: Positive = 3000
    tts_first_audio_deadline_ms: Positive = 3000
    # A service that fails for so long ends the call, politely.
    give_up_ms: Positive = 12_000
    max_call_s: Positive = 3600
    admission: AdmissionSettings = AdmissionSettings()
    webrtc: WebRtcSettings = WebRtcSettings()
    front_end: FrontEndSettings = FrontEndSettings()
    turns: TurnSettings = TurnSettings()
