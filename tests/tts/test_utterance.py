"""One stream on virtual time, with the scripted engine: order, offsets, pace, relief, deadlines."""

import asyncio

import pytest

from services.common.clock import VirtualClock
from services.common.errors import DeadlineError, InvalidInputError
from services.common.settings import ScriptedSettings, TtsSettings
from services.pb.trunkline.tts.v1 import tts_pb2
from services.tts.cache import PhraseCache
from services.tts.scripted import ScriptedEngine, ScriptedRunner
from services.tts.utterance import CHUNK_MS, MAX_CHARS, Utterance, UtteranceConfig

RATE = 16000


class Listener:
    """Collects what an utterance says, with the virtual time of each response."""

    def __init__(self, *, paced: bool = True, **settings: int) -> None:
        self.clock = VirtualClock()
        engine = ScriptedEngine(ScriptedSettings())
        cache = PhraseCache(0, ScriptedRunner(50, self.clock))
        config = UtteranceConfig(engine.voices["scripted"], RATE, 1.0, paced)
        self.utterance = Utterance(config, engine, cache, TtsSettings(engine="scripted", **settings), self.clock)
        self.heard: list[tuple[float, tts_pb2.SynthesizeResponse]] = []
        self.task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for response in self.utterance.speak():
            self.heard.append((self.clock.now_ns() / 1e6, response))

    def clauses(self) -> list[tts_pb2.ClauseStarted]:
        return [response.clause for _, response in self.heard if response.WhichOneof("payload") == "clause"]

    def audio_ms(self) -> float:
        audio = [response.audio.pcm for _, response in self.heard if response.WhichOneof("payload") == "audio"]
        return sum(map(len, audio)) / 2 / RATE * 1000


async def test_clauses_come_in_order_with_exact_text_offsets_and_sample_offsets() -> None:
    listener = Listener(ahead_ms=60_000)
    text = "Yes, I can. It will be there on  Thursday; **really**! 😀"
    listener.utterance.feed(text)
    listener.utterance.end()
    await listener.clock.advance_ms(5000)
    await listener.task
    clauses = listener.clauses()
    assert "".join(clause.text for clause in clauses) == text
    at = 0
    for clause in clauses:
        assert clause.sample_offset == at
        at += clause.samples
        for word in clause.words:
            assert text[word.text_offset : word.text_offset + len(word.text)] == word.text
    finished = listener.heard[-1][1].finished
    assert (finished.samples, finished.clauses) == (at, len(clauses))
    assert listener.audio_ms() == pytest.approx(at / RATE * 1000)


async def test_no_audio_message_is_longer_than_a_chunk() -> None:
    listener = Listener(ahead_ms=60_000)
    listener.utterance.feed("A sentence that lasts for quite a while. ")
    listener.utterance.end()
    await listener.clock.advance_ms(5000)
    sizes = [len(r.audio.pcm) for _, r in listener.heard if r.WhichOneof("payload") == "audio"]
    assert max(sizes) <= RATE * CHUNK_MS // 1000 * 2


async def test_the_first_clause_is_spoken_while_the_text_still_comes() -> None:
    listener = Listener()
    listener.utterance.feed("Sure, let me")
    await listener.clock.advance_ms(60)
    assert [clause.text for clause in listener.clauses()] == ["Sure,"]
    listener.task.cancel()


async def test_audio_is_made_at_most_so_far_ahead_of_what_can_have_been_heard() -> None:
    listener = Listener(ahead_ms=2000)
    listener.utterance.feed("This is a sentence of some length. " * 30)
    listener.utterance.end()
    for _ in range(20):
        await listener.clock.advance_ms(500)
        elapsed = listener.clock.now_ns() / 1e6
        # One clause may be begun within the bound.
        assert listener.audio_ms() <= elapsed + 2000 + 4000
    assert listener.audio_ms() >= 10_000
    listener.task.cancel()


async def test_what_is_not_for_a_call_is_made_without_waiting() -> None:
    listener = Listener(paced=False, ahead_ms=2000)
    listener.utterance.feed("This is a sentence of some length. " * 30)
    listener.utterance.end()
    await listener.clock.advance_ms(31 * 50 + 100)
    await listener.task
    assert listener.audio_ms() > 60_000


async def test_held_text_is_spoken_before_the_listener_hears_silence() -> None:
    listener = Listener()
    listener.utterance.feed("Yes, I found one, in the north")
    await listener.clock.advance_ms(100)
    spoken = listener.audio_ms()
    await listener.clock.advance_ms(spoken - 100)
    assert [clause.text for clause in listener.clauses()] == ["Yes,", " I found one,"]
    listener.task.cancel()


async def test_a_sentence_is_spoken_when_the_text_stalls_after_it() -> None:
    listener = Listener()
    listener.utterance.feed("One moment.")
    await listener.clock.advance_ms(299)
    assert listener.clauses() == []
    await listener.clock.advance_ms(60)
    assert [clause.text for clause in listener.clauses()] == ["One moment."]
    listener.task.cancel()


async def test_flush_speaks_what_is_held_without_ending() -> None:
    listener = Listener()
    listener.utterance.feed("one moment")
    await listener.clock.advance_ms(500)
    assert listener.clauses() == []
    listener.utterance.flush()
    await listener.clock.advance_ms(60)
    assert [clause.text for clause in listener.clauses()] == ["one moment"]
    assert not listener.task.done()
    listener.task.cancel()


async def test_a_stream_without_text_ends_with_a_deadline_error() -> None:
    listener = Listener(idle_s=10)
    await listener.clock.advance_ms(10_001)
    with pytest.raises(DeadlineError):
        await listener.task


async def test_an_end_without_text_finishes_with_nothing() -> None:
    listener = Listener()
    listener.utterance.end()
    await listener.clock.advance_ms(1)
    await listener.task
    assert [response.finished.samples for _, response in listener.heard] == [0]


async def test_text_beyond_the_bound_and_after_the_end_is_refused() -> None:
    listener = Listener()
    with pytest.raises(InvalidInputError):
        listener.utterance.feed("x" * (MAX_CHARS + 1))
    listener.utterance.end()
    with pytest.raises(InvalidInputError):
        listener.utterance.feed("more")
    listener.task.cancel()


async def test_scripted_audio_starts_exactly_after_the_declared_latency_and_has_word_times() -> None:
    listener = Listener()
    listener.utterance.feed("Hello there.")
    listener.utterance.end()
    await listener.clock.advance_ms(49)
    assert listener.heard == []
    await listener.clock.advance_ms(1)
    (clause,) = listener.clauses()
    assert [(word.text, word.start_ms) for word in clause.words] == [("Hello", 0), ("there.", 370)]
