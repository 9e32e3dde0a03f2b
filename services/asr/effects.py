"""What a call's recognition asks for and answers: values between the state machine, the scheduler and the wire."""

from dataclasses import dataclass
from enum import Enum

from services.asr.hypothesis import DecodeRequest, Hypothesis
from services.common.errors import TrunklineError
from services.common.personal import Personal


class MarkKind(Enum):
    """Marks of the client's VAD (values of `asr.v1.Mark.Kind`)."""

    SPEECH_STARTED = 1
    SPEECH_PAUSED = 2
    SPEECH_RESUMED = 3
    FINALIZE = 4
    DISCARD = 5


class JobKind(Enum):
    """Why something is decoded; a segment is a final of a part of an utterance."""

    PARTIAL = "partial"
    PROVISIONAL = "provisional"
    FINAL = "final"
    SEGMENT = "segment"


@dataclass(frozen=True, slots=True)
class Decode:
    """Ask for a decode. `deadline_ms` from now; 0: the default of its kind."""

    job_id: int
    utterance_id: int
    kind: JobKind
    request: DecodeRequest
    deadline_ms: int = 0


@dataclass(frozen=True, slots=True)
class Cancel:
    """The job's answer is no longer wanted."""

    job_id: int


@dataclass(frozen=True, slots=True)
class Promote:
    """A provisional final in the queue is now the final that is waited for."""

    job_id: int
    deadline_ms: int


@dataclass(frozen=True, slots=True)
class SendPartial:
    """A partial for the client; `job_id` says whose timings."""

    utterance_id: int
    stable: Personal[str]
    unstable: Personal[str]
    job_id: int


@dataclass(frozen=True, slots=True)
class SendFinal:
    """A final for the client; `job_id` None: answered by an earlier provisional final, no work was done for it."""

    utterance_id: int
    provisional: bool
    hypothesis: Hypothesis
    job_id: int | None


@dataclass(frozen=True, slots=True)
class SendError:
    """The utterance could not be decoded, or a mark did not fit; the stream lives."""

    utterance_id: int
    error: TrunklineError


Effect = Decode | Cancel | Promote | SendPartial | SendFinal | SendError


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one call's state, in ms of audio where named so."""

    # VAD onset is 60 ms late and the client's own minimum of speech comes on top.
    preroll_ms: int = 400
    max_utterance_ms: int = 30_000
    # A cut is looked for in this much audio before the bound.
    cut_search_ms: int = 2_000
    first_partial_ms: int = 500
    # Segments that wait for a decoder which refuses them; past that the utterance fails.
    max_waiting_segments: int = 3
    # Utterances finalized and not answered yet.
    max_finalizing: int = 8
