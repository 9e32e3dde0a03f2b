"""What scripted models declare, so that "overhead" is one clear subtraction.

The path of a turn, all of it declared: the caller stops; after `pause_ms` the provisional text is asked for, and
from it the reply is prepared while the endpoint wait runs on. The agent may be heard when both are done:

    max(endpoint wait, pause + asr_final + llm_ttft + first clause at the declared pace + tts_ttfa)

Whatever voice-to-voice takes beyond that is ours: transport, buffers, scheduling. Buffers that are there by design
are listed beside it, not subtracted.
"""

from dataclasses import dataclass

from services.common.settings import Settings

_VAD_FRAME_MS = 32
_PTIME_MS = 20


@dataclass(frozen=True, slots=True)
class Declared:
    """`total_ms` is what is subtracted; `parts_ms` says of what it is made; `buffers_ms` is known, not subtracted."""

    total_ms: float
    parts_ms: dict[str, float]
    buffers_ms: dict[str, float]

    def to_json(self) -> dict[str, object]:
        """As in the benchmark file."""
        return {
            "total_ms": self.total_ms,
            "path": "max(endpoint, pause + asr_final + llm_ttft + llm_first_clause + tts_ttfa)",
            "parts_ms": self.parts_ms,
            "known_buffers_ms": self.buffers_ms,
        }


def declared(settings: Settings, first_clause_tokens: int) -> Declared:
    """Of these settings; the scripted reply's first clause is complete with its `first_clause_tokens`-th token."""
    scripted, turns = settings.scripted, settings.orchestrator.turns
    parts = {
        "endpoint": float(turns.endpoint_complete_ms),
        "pause": float(turns.pause_ms),
        "asr_final": float(scripted.asr_final_ms),
        "llm_ttft": float(scripted.llm_ttft_ms),
        "llm_first_clause": (first_clause_tokens - 1) * 1000 / scripted.llm_tokens_per_s,
        "tts_ttfa": float(scripted.tts_ttfa_ms),
    }
    reply = sum(value for name, value in parts.items() if name != "endpoint")
    buffers = {
        # The frame in which the silence is seen is complete up to a frame later; half of it on average.
        "vad_frame_up_to": float(_VAD_FRAME_MS),
        "packet_each_way": float(_PTIME_MS),
        "playout_tick_up_to": float(_PTIME_MS),
        "jitter_buffer_least": float(settings.telephony.jitter_buffer_ms[0]),
    }
    return Declared(max(parts["endpoint"], reply), parts, buffers)


def is_scripted(settings: Settings) -> bool:
    """All four model services are scripted: only then is an overhead meaningful."""
    return all(getattr(settings, name).engine == "scripted" for name in ("vad", "asr", "llm", "tts"))
