"""Word timings of the TTS service as samples of the leg."""

from services.orchestrator.media.playout import SpokenWord
from services.pb.trunkline.tts.v1 import tts_pb2 as pb


def words_from(clause: pb.ClauseStarted, rate_hz: int) -> list[SpokenWord]:
    """The words of a clause; times count from the start of the utterance, offsets in its text."""
    return [
        SpokenWord(
            text_start=word.text_offset,
            text_end=word.text_offset + len(word.text),
            start=word.start_ms * rate_hz // 1000,
            end=word.end_ms * rate_hz // 1000,
        )
        for word in clause.words
    ]
