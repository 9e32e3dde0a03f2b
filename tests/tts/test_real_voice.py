"""The real voice behind a real channel: what is heard, when words sound, what a cancellation stops."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from jiwer import wer
from whisper_normalizer.english import EnglishTextNormalizer

from services.common.clock import SystemClock
from services.common.errors import MissingModelError, SettingsError
from services.common.models import ModelStore
from services.common.settings import Settings, TtsSettings
from services.pb.trunkline.common.v1 import common_pb2
from services.pb.trunkline.tts.v1 import tts_pb2
from services.tts.engine import ClauseJob
from services.tts.graph import cut_voice
from services.tts.metrics import STREAMS
from services.tts.piper_engine import PiperEngine
from services.tts.scheduler import DeadlineScheduler
from services.tts.server import TtsServicer, service_of
from services.tts.spoken import spoken_words
from services.tts.take import Rendering
from services.tts.voice import CancelledClauseError, Voice
from tests.tts.conftest import TtsClient, running, tts_settings

pytestmark = pytest.mark.models
on_module_loop = pytest.mark.asyncio(loop_scope="module")

VOICE = "piper-en_US-joe-medium"
GREETING = "Hello, this is an assistant. How can I help?"
OTHERS = ("apology_retry", "apology_goodbye", "reprompt", "goodbye", "not_understood", "time_over")
SENTENCES = [
    "I have found your order, and it should arrive on Thursday morning.",
    "Please hold the line while I connect you to a colleague.",
    "Doctor Smith will call you back on Monday, unless you prefer another day.",
    "The refund was sent to your account last week.",
    "That is $5 for the ticket, and $3.50 for lunch.",
    "The next train leaves at 10:30 in the morning.",
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client() -> AsyncIterator[TtsClient]:
    async with running(tts_settings(greeting=GREETING, **dict.fromkeys(OTHERS, "Sorry."))) as client:
        yield client


@pytest.fixture(scope="module")
def voice() -> Voice:
    model = ModelStore(Settings().models).path(VOICE) / "en_US-joe-medium.onnx"
    return Voice(model, threads=1, cuda=False)


def level_db(samples: np.ndarray, rate: int, frame_ms: int = 10) -> np.ndarray:
    """RMS per frame, dB of full scale."""
    size = rate * frame_ms // 1000
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    return 20 * np.log10(np.sqrt(np.mean(frames**2, axis=1)) + 1e-6)


@on_module_loop
async def test_text_in_pieces_comes_back_as_clauses_with_exact_offsets_and_audio(client: TtsClient) -> None:
    text = "Yes, I can help. It costs $3.50, plus  tax; is that **all right** for Dr. Smith?"
    spoken = await client.say([text[i : i + 3] for i in range(0, len(text), 3)])
    assert "".join(clause.text for clause in spoken.clauses) == text
    samples = 0
    for clause in spoken.clauses:
        assert (clause.text_offset, clause.sample_offset) == (text.index(clause.text), samples)
        samples += clause.samples
    assert samples * 2 == len(spoken.pcm)
    for word in spoken.words:
        assert text[word.text_offset : word.text_offset + len(word.text)] == word.text
    assert [word.text for word in spoken.words][:3] == ["Yes,", "I", "can"]


@on_module_loop
async def test_speech_begins_at_once_and_pauses_follow_punctuation(client: TtsClient) -> None:
    spoken = await client.say("Hello, this is a longer sentence. And this is another one.", sample_rate_hz=16000)
    levels = level_db(spoken.samples, 16000)
    loud = np.flatnonzero(levels > levels.max() - 30)
    assert loud[0] * 10 <= 60
    # The end of each clause is silent, and the next one begins within 0.6 s.
    for before, after in zip(spoken.clauses, spoken.clauses[1:], strict=False):
        gap_ms = after.words[0].start_ms - before.words[-1].end_ms
        assert 60 <= gap_ms <= 600


@on_module_loop
async def test_word_times_agree_with_the_energy_of_the_audio_within_80_ms(client: TtsClient) -> None:
    """Words between pauses: where sound begins and ends after silence is known from the audio itself."""
    text = "Table. Garden. Monday. Button. Doctor. Napkin."
    spoken = await client.say(text, sample_rate_hz=16000)
    levels = level_db(spoken.samples, 16000, 5)
    heard = levels > levels.max() - 32
    errors = []
    for word in spoken.words:
        near = range(max(0, word.start_ms // 5 - 30), min(len(heard), word.end_ms // 5 + 30))
        sounding = [i * 5 for i in near if heard[i]]
        errors += [abs(word.start_ms - sounding[0]), abs(word.end_ms - sounding[-1] - 5)]
    assert np.percentile(errors, 80) <= 80
    assert max(errors) <= 150


# A voice draws its noise anew each time, and a small recogniser errs: once more.
@pytest.mark.flaky(reruns=2)
@on_module_loop
async def test_a_recogniser_hears_what_was_written_and_when(client: TtsClient) -> None:
    spoken = [await client.say(sentence) for sentence in SENTENCES]
    heard = await asyncio.to_thread(transcribe, [s.samples for s in spoken])
    normalise = EnglishTextNormalizer()
    hypotheses = [normalise(" ".join(word for word, _, _ in words)) for words in heard]
    assert wer([normalise(sentence) for sentence in SENTENCES[:-2]], hypotheses[:-2]) <= 0.08
    offsets = []
    for said, words in zip(spoken, heard, strict=True):
        for word in said.words[1:]:
            same = [(start + end) / 2 for text, start, end in words if bare(text) == bare(word.text)]
            if same:
                offsets.append(min(abs(middle - (word.start_ms + word.end_ms) / 2) for middle in same))
    assert len(offsets) > 25
    # Whisper's own word times are good to about 100 ms.
    assert np.median(offsets) <= 80
    # Amounts and times are said as such; the recogniser writes them in figures or in words (a time after amounts it
    # took for one more of them, "at $30").
    amounts, times = ("".join(word for word, _, _ in words).replace(" ", "") for words in heard[-2:])
    assert "$5" in amounts or "fivedollars" in amounts
    assert "$3.50" in amounts or "threedollarsandfiftycents" in amounts
    assert any(time in times.casefold() for time in ("10:30", "1030", "10.30", "tenthirty")), times


def transcribe(clips: list[np.ndarray]) -> list[list[tuple[str, float, float]]]:
    """Words of each clip with start and end in ms, by Whisper tiny.en; all clips in one 30 s window, to be quick."""
    from faster_whisper import WhisperModel

    path = ModelStore(Settings().models).path("whisper-tiny.en")
    model = WhisperModel(str(path), device="cpu", compute_type="int8", cpu_threads=1)
    gap = np.zeros(8000, np.float32)
    starts_ms, pieces = [], []
    for clip in clips:
        starts_ms.append(sum(map(len, pieces)) / 16)
        pieces += [clip, gap]
    segments, _ = model.transcribe(np.concatenate(pieces).astype(np.float32), word_timestamps=True, beam_size=3)
    words = [(word.word.strip(), word.start * 1e3, word.end * 1e3) for s in segments for word in s.words or ()]
    ends_ms = [*(start - 250 for start in starts_ms[1:]), float("inf")]
    return [
        [(w, at - start, to - start) for w, at, to in words if start - 250 <= (at + to) / 2 < end]
        for start, end in zip(starts_ms, ends_ms, strict=True)
    ]


def bare(word: str) -> str:
    return word.lower().strip(".,?!$")


@on_module_loop
@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 48000])
async def test_every_rate_has_speech_of_the_same_length_and_nothing_above_the_voices_band(
    client: TtsClient, rate: int
) -> None:
    spoken = await client.say("Sister Susie sells six silver sea shells.", sample_rate_hz=rate)
    assert spoken.finished is not None
    assert 1.5 < spoken.finished.samples / rate < 5
    spectrum = np.abs(np.fft.rfft(spoken.samples * np.hanning(len(spoken.samples)))) ** 2
    frequencies = np.fft.rfftfreq(len(spoken.samples), 1 / rate)
    band = spectrum[(frequencies > 200) & (frequencies < 3000)].mean()
    if rate > 22050:
        # Images of resampling would stand above the voice's own 11 kHz.
        assert spectrum[frequencies > 11_100].mean() < band * 1e-6
    else:
        # At the very edge of the band the filter has closed: an alias would be strongest here.
        assert spectrum[frequencies > rate / 2 * 0.995].mean() < band * 1e-2


@on_module_loop
async def test_speaking_rate_changes_the_length_and_nothing_else(client: TtsClient) -> None:
    text = "This sentence is spoken at several speeds."
    lengths = {}
    for pace in (0.7, 1.0, 1.6):
        spoken = await client.say(text, speaking_rate=pace)
        assert [word.text for word in spoken.words] == text.split()
        assert spoken.finished is not None
        lengths[pace] = spoken.finished.samples
    assert lengths[0.7] > lengths[1.0] * 1.2 > lengths[1.6] * 1.4


@on_module_loop
async def test_a_lexicon_changes_the_sound_and_not_the_words(client: TtsClient) -> None:
    text = "Your MiniSaver is open."
    plain = await client.say(text)
    said = await client.say(text, say={"MiniSaver": "extraordinarily long saver"})
    assert [word.text for word in said.words] == [word.text for word in plain.words] == text.split()
    assert len(said.samples) > len(plain.samples) * 1.3


@on_module_loop
async def test_a_repeated_phrase_comes_from_the_cache_and_is_the_same_audio(client: TtsClient) -> None:
    first = await client.say("Let me look that up for you.")
    second = await client.say("  Let me look that up for you.")
    assert (first.clauses[0].cached, second.clauses[0].cached) == (False, True)
    assert first.pcm == second.pcm
    assert second.finished is not None
    assert second.finished.cached_clauses == second.finished.clauses
    # Word offsets are those of this text, not of the first.
    assert [word.text_offset - 2 for word in second.words] == [word.text_offset for word in first.words]


@on_module_loop
@pytest.mark.parametrize("rate", [8000, 16000, 48000])
async def test_the_greeting_is_in_the_cache_when_the_service_is_ready(client: TtsClient, rate: int) -> None:
    spoken = await client.say(GREETING, sample_rate_hz=rate)
    assert all(clause.cached for clause in spoken.clauses)


@on_module_loop
async def test_many_streams_at_once_get_their_own_words(client: TtsClient) -> None:
    texts = [f"This is caller number {number}, thank you." for number in range(8)]
    results = await asyncio.gather(*(client.say(text) for text in texts))
    for text, spoken in zip(texts, results, strict=True):
        assert " ".join(word.text for word in spoken.words) == text
        assert spoken.finished is not None
        assert spoken.finished.samples * 2 == len(spoken.pcm)


class RecordingEngine(PiperEngine):
    """Keeps what it renders, so that a test can see what was computed."""

    def __init__(self, settings: Settings, clock: SystemClock) -> None:
        super().__init__(settings.tts, ModelStore(settings.models), clock)
        self.renderings: list[Rendering] = []

    def render(self, job: ClauseJob) -> Rendering:
        self.renderings.append(super().render(job))
        return self.renderings[-1]


async def test_a_cancelled_stream_stops_computing_within_its_clause() -> None:
    settings, clock = tts_settings(locale="fi-FI"), SystemClock()  # No phrases are made in advance.
    engine = RecordingEngine(settings, clock)
    service = service_of(TtsServicer(settings, engine, DeadlineScheduler(2, clock), clock))
    async with running(settings, service=service) as client:
        call = await client.open()
        text = "The northern railway line was closed for repairs during the whole of last winter and the spring. " * 8
        await call.write(tts_pb2.SynthesizeRequest(text=text))
        await call.write(tts_pb2.SynthesizeRequest(end=tts_pb2.End()))
        while (await call.read()).WhichOneof("payload") != "audio":
            pass
        call.cancel()
        async with asyncio.timeout(5):
            while STREAMS.collect()[0].samples[0].value:
                await client.stub.ListVoices(tts_pb2.ListVoicesRequest())
        # Two threads were at work at most; what they did is done, and nothing more is started.
        await client.say("Good morning.")
        computed = [rendering.compute_ms for rendering in engine.renderings[:-1]]
        assert len(computed) < 8
        assert not engine.renderings[-2].ended
        await client.say("Good evening.")
        assert [rendering.compute_ms for rendering in engine.renderings[: len(computed)]] == computed


@on_module_loop
async def test_describe_and_list_voices_name_what_runs(client: TtsClient) -> None:
    described = await client.stub.Describe(common_pb2.DescribeRequest())
    assert (described.engine, described.device) == ("piper", "cpu")
    assert "piper-tts 1.8.0" in described.engine_version
    assert described.models[0].name == VOICE
    assert len(described.models[0].sha256) == 64
    (listed,) = (await client.stub.ListVoices(tts_pb2.ListVoicesRequest())).voices
    assert (listed.name, listed.locale, listed.native_sample_rate_hz) == (VOICE, "en-US", 22050)


# The voice draws its noise anew each time; a quiet draw comes within a decibel of the bound.
@pytest.mark.flaky(reruns=2)
def test_windows_give_the_samples_of_the_whole_graph(voice: Voice) -> None:
    """The streaming decoder is exact: against one run of flow and decoder over the whole clause."""
    computation = voice.begin(spoken_words("I have found your order, and it should arrive on Thursday morning."))
    computation.plan()
    prior, kept = computation._prior, computation._kept
    parts, frames = voice._parts, prior.shape[2]
    feed = {parts.prior_name: prior, parts.mask_name: np.ones((1, 1, frames), np.float32)}
    (latent,) = voice._flow.run(None, feed)
    (audio,) = voice._decoder.run(None, {parts.latent_name: latent})
    hop = voice.config.hop_samples
    whole = audio.reshape(-1)[kept.start * hop : kept.end * hop] * voice.gain
    streamed = np.concatenate(list(computation.windows()))[: len(whole)]
    faded = kept.fade_samples
    error = np.abs(streamed - whole)[faded:-faded].max()
    assert error < np.abs(whole).max() * 10 ** (-80 / 20)


def test_a_running_computation_ends_when_it_is_cancelled(voice: Voice) -> None:
    """`terminate` ends a computation from another thread, long before it would end by itself."""
    words = spoken_words(
        "The northern railway line was closed for repairs during the whole of last winter, and so " * 8
    )
    computation = voice.begin(words)
    started, given_up = threading.Event(), threading.Event()

    def run() -> None:
        started.set()
        try:
            computation.plan()
            list(computation.windows())
        except CancelledClauseError:
            given_up.set()

    thread = threading.Thread(target=run)
    thread.start()
    started.wait(5)
    computation.cancel()
    assert given_up.wait(5)
    thread.join(5)


def test_cuda_without_a_cuda_runtime_is_refused_with_what_to_do() -> None:
    with pytest.raises(SettingsError, match="onnxruntime-gpu"):
        Voice(ModelStore(Settings().models).path(VOICE) / "en_US-joe-medium.onnx", threads=1, cuda=True)


def test_a_graph_that_is_no_voice_is_refused_by_name() -> None:
    model = next((ModelStore(Settings().models).path("silero-vad-v6")).glob("*.onnx"))
    with pytest.raises(MissingModelError, match=r"expected a single-speaker Piper \(VITS\) graph"):
        cut_voice(model)


async def test_a_second_voice_of_a_manifest_is_offered_by_name_and_by_locale(tmp_path: Path) -> None:
    """The same weights under another name and locale: declared as such, to test selection alone."""
    store = second_voice(tmp_path)
    engine = PiperEngine(TtsSettings(voices=(VOICE, "copy-for-tests")), store, SystemClock())
    assert [(v.name, v.locale) for v in engine.voices.values()] == [(VOICE, "en-US"), ("copy-for-tests", "en-GB")]
    await asyncio.to_thread(engine.load)
    rendering = engine.render(ClauseJob(spoken_words("Hello there."), "copy-for-tests", 8000, 1.0))
    pcm = b""
    while not rendering.ended:
        pcm += rendering.step()
    assert rendering.plan is not None
    assert len(pcm) == rendering.plan.samples * 2


def second_voice(directory: Path) -> ModelStore:
    real = ModelStore(Settings().models)
    for name, locale in ((VOICE, "en_US"), ("copy-for-tests", "en_GB")):
        (directory / name).mkdir()
        for file in real.entry(VOICE).files:
            target = directory / name / file.name
            if file.name.endswith(".json"):
                target.write_text((real.path(VOICE) / file.name).read_text().replace('"en_US"', f'"{locale}"'))
            else:
                target.symlink_to(real.path(VOICE) / file.name)
    manifest = directory / "manifest.toml"
    files = [
        "\n".join(("[[model.file]]", f'name = "{file.name}"', f'sha256 = "{file.sha256}"', f"size = {file.size}"))
        for file in real.entry(VOICE).files
    ]
    manifest.write_text(
        "\n".join(
            f'[[model]]\nname = "{name}"\nversion = "1"\nlicence = "test"\npurpose = "test"\nservice = "tts"\n'
            + "\n".join(files)
            for name in (VOICE, "copy-for-tests")
        )
    )
    settings = Settings().models.model_copy(update={"dir": directory, "verify_on_start": False})
    return ModelStore(settings, manifest)
