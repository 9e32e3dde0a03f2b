"""Between the protobuf messages of asr.v1 and this service's own types; everything that comes in is checked here."""

import re

from services.asr.audio import SAMPLE_RATES_HZ, from_bytes
from services.asr.effects import MarkKind
from services.asr.hypothesis import Hypothesis, Pcm, Recognition
from services.common.errors import InvalidInputError, OverloadedError, TrunklineError
from services.common.personal import Personal
from services.pb.trunkline.asr.v1 import asr_pb2 as pb
from services.pb.trunkline.common.v1 import common_pb2

MAX_CALL_ID_CHARS = 128
MAX_HOTWORDS = 32
MAX_HOTWORD_CHARS = 64
MAX_ALTERNATIVES = 10
MAX_AUDIO_MESSAGE_MS = 2_000
MAX_DEADLINE_MS = 60_000
PARTIAL_INTERVALS_MS = (100, 10_000)
_LOCALE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*")


def read_config(config: pb.RecognizeConfig) -> Recognition:
    """A checked config. Raises InvalidInputError naming the field."""
    if not 0 < len(config.call_id) <= MAX_CALL_ID_CHARS:
        raise InvalidInputError(
            "config.call_id", expected=f"1 to {MAX_CALL_ID_CHARS} characters", got=f"{len(config.call_id)}"
        )
    if config.sample_rate_hz not in SAMPLE_RATES_HZ:
        raise InvalidInputError("config.sample_rate_hz", expected="8000 or 16000", got=str(config.sample_rate_hz))
    if config.locale and not _LOCALE.fullmatch(config.locale):
        raise InvalidInputError("config.locale", expected="a BCP 47 tag such as en-US", got="something else")
    if len(config.hotwords) > MAX_HOTWORDS:
        raise InvalidInputError("config.hotwords", expected=f"at most {MAX_HOTWORDS}", got=str(len(config.hotwords)))
    if not all(word.strip() and len(word) <= MAX_HOTWORD_CHARS for word in config.hotwords):
        raise InvalidInputError(
            "config.hotwords", expected=f"words of 1 to {MAX_HOTWORD_CHARS} characters", got="one empty or longer"
        )
    low, high = PARTIAL_INTERVALS_MS
    if config.partial_interval_ms and not low <= config.partial_interval_ms <= high:
        raise InvalidInputError(
            "config.partial_interval_ms", expected=f"0 or {low} to {high}", got=str(config.partial_interval_ms)
        )
    if config.max_alternatives > MAX_ALTERNATIVES:
        raise InvalidInputError(
            "config.max_alternatives", expected=f"at most {MAX_ALTERNATIVES}", got=str(config.max_alternatives)
        )
    return Recognition(
        sample_rate_hz=config.sample_rate_hz,
        locale=config.locale,
        hotwords=tuple(word.strip() for word in config.hotwords),
        alternatives=max(1, config.max_alternatives),
    )


def read_audio(audio: pb.Audio, expected_seq: int, sample_rate_hz: int) -> Pcm:
    """Samples of one message. Raises InvalidInputError for a gap, a repeat, half a sample or too much."""
    if audio.seq != expected_seq:
        raise InvalidInputError("audio.seq", expected=str(expected_seq), got=str(audio.seq))
    limit = MAX_AUDIO_MESSAGE_MS * sample_rate_hz // 1000 * 2
    if not 0 < len(audio.pcm) <= limit or len(audio.pcm) % 2:
        raise InvalidInputError(
            "audio.pcm", expected=f"16-bit samples, 2 to {limit} bytes", got=f"{len(audio.pcm)} bytes"
        )
    return from_bytes(audio.pcm)


def read_mark(mark: pb.Mark) -> MarkKind:
    """Kind of a mark. Raises InvalidInputError for one that is not of this contract."""
    if mark.deadline_ms > MAX_DEADLINE_MS:
        raise InvalidInputError("mark.deadline_ms", expected=f"at most {MAX_DEADLINE_MS}", got=str(mark.deadline_ms))
    try:
        return MarkKind(mark.kind)
    except ValueError:
        expected = ", ".join(kind.name for kind in MarkKind)
        raise InvalidInputError("mark.kind", expected=expected, got=str(mark.kind)) from None


def write_partial(
    utterance_id: int, stable: Personal[str], unstable: Personal[str], timings: common_pb2.Timings
) -> pb.RecognizeResponse:
    """A partial as the client reads it."""
    return pb.RecognizeResponse(
        partial=pb.Partial(
            utterance_id=utterance_id, stable_text=stable.reveal(), unstable_text=unstable.reveal(), timings=timings
        )
    )


def write_final(
    utterance_id: int, hypothesis: Hypothesis, timings: common_pb2.Timings, *, provisional: bool
) -> pb.RecognizeResponse:
    """A final as the client reads it."""
    return pb.RecognizeResponse(
        final=pb.Final(
            utterance_id=utterance_id,
            provisional=provisional,
            text=hypothesis.text.reveal(),
            alternatives=[
                pb.Alternative(text=a.text.reveal(), avg_logprob=a.avg_logprob) for a in hypothesis.alternatives
            ],
            words=[
                pb.Word(text=w.text.reveal(), start_ms=w.start_ms, end_ms=w.end_ms, probability=w.probability)
                for w in hypothesis.words
            ],
            avg_logprob=hypothesis.avg_logprob,
            no_speech_prob=hypothesis.no_speech_prob,
            language=hypothesis.language,
            language_probability=hypothesis.language_probability,
            languages=[pb.LanguageScore(language=code, probability=p) for code, p in hypothesis.languages],
            audio_ms=hypothesis.audio_ms,
            rejection=pb.Final.Rejection.ValueType(hypothesis.rejection.value if hypothesis.rejection else 0),
            timings=timings,
            ending_log_odds=hypothesis.ending_log_odds,
        )
    )


def write_error(utterance_id: int, error: TrunklineError) -> pb.RecognizeResponse:
    """An error of one utterance as the client reads it."""
    retry_ms = int(error.retry_after_s * 1000) if isinstance(error, OverloadedError) else 0
    return pb.RecognizeResponse(
        error=pb.UtteranceError(
            utterance_id=utterance_id, code=error.status.value[0], message=str(error), retry_after_ms=retry_ms
        )
    )
