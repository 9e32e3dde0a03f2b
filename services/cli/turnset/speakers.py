"""The clips that items are made of: spoken by the tts service, by espeak-ng where it is installed, or recorded.

Synthetic clips are kept under the cache by a hash of voice and text. A synthetic pitch is a resampling (formants move
with it, as a smaller head would), its tempo made up for by the speaking rate.
"""

import asyncio
import hashlib
import io
import itertools
import shutil
import wave
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import grpc.aio
import numpy as np
import soxr

from services.cli.caller import Pcm
from services.cli.measure import Span, speech_spans
from services.cli.turnset import phrases
from services.cli.turnset.recipe import AGENT_VOICE, VOICES, Half, Item, Voice, half_of, voice_named
from services.cli.turnset.sounds import RATE_HZ
from services.common.clock import Clock
from services.common.errors import MissingModelError, UnavailableError
from services.common.models import ModelStore
from services.common.rpc_client import from_rpc_error, open_channel
from services.common.settings import Settings
from services.pb.trunkline.tts.v1 import tts_pb2 as pb
from services.pb.trunkline.tts.v1 import tts_pb2_grpc as rpc

ESPEAK = "espeak-ng"
_SPEAK_DEADLINE_S = 60.0
_ESPEAK_DEADLINE_S = 20.0
_ESPEAK_WORDS_PER_MINUTE = 165
# Recordings by half: no reader is in both.
RECORDINGS: dict[Half, dict[str, tuple[str, str]]] = {
    "tuning": {"librivox": ("speech-test", "librivox/*.wav"), "pocketsphinx": ("speech-test", "*.raw")},
    "test": {"allison": ("speech-asterisk-en", "*.wav"), "cards": ("speech-test", "cards/*.wav")},
}
# Sentences of one recording are apart by at least this; a dip inside a sentence is shorter.
_SENTENCE_MS = 400
_LEAST_DIP_MS = 70
_LEAST_PART_MS = 300
_LONGEST_MS = 6_000


class Speakers:
    """Clips at 16 kHz. `close` when done."""

    def __init__(self, settings: Settings, folder: Path, clock: Clock, store: ModelStore) -> None:
        self._settings = settings
        self._folder = folder
        self._store = store
        self._channel = open_channel(settings.tts.address(), settings.rpc, clock=clock)
        self._recorded: dict[str, Pcm] = {}
        self.espeak = shutil.which(ESPEAK) is not None
        self.notes: list[str] = []
        folder.mkdir(parents=True, exist_ok=True)

    async def close(self) -> None:
        """Free the channel."""
        await self._channel.close()

    def sources(self, half: Half) -> list[str]:
        """Names of the recorded utterances of a half; sets that are not here are named in `notes`."""
        found = []
        for reader, (model, pattern) in RECORDINGS[half].items():
            try:
                folder = self._store.path(model)
            except MissingModelError:
                self.notes.append(f"{reader}: {model} is not here (trunkline models fetch {model})")
                continue
            for path in sorted(folder.glob(pattern)):
                for index, clip in enumerate(_sentences(_read(path))):
                    name = f"{reader}/{path.stem}#{index}"
                    self._recorded[name] = clip
                    found.append(name)
        return found

    async def clips(self, item: Item) -> list[Pcm] | None:
        """One clip per part; [] for sounds that render makes; None when this item cannot be made here."""
        if item.kind in ("cough", "laugh") or item.hum:
            return []
        if item.source:
            clip = self._recorded[item.source]
            return [clip] if len(item.parts) == 1 else cut_at_dip(clip, item.seed)
        voice = AGENT_VOICE if item.kind == "echo" else voice_named(item.half, item.voice)
        if voice.engine == "espeak" and not self.espeak:
            voice = _piper_voices(item.half)[item.seed % len(_piper_voices(item.half))]
        return [
            await self.speak(spoken(part.text, last=index == len(item.parts) - 1, seed=item.seed + index), voice)
            for index, part in enumerate(item.parts)
        ]

    async def babble(self, half: Half) -> list[Pcm]:
        """Talkers for babble noise: the background sentences in every voice of the half."""
        texts = [text for text in phrases.lines(phrases.BACKGROUND) if half_of(text) == half]
        voices = [v for v in VOICES[half] if v.engine == "piper" or self.espeak]
        return [await self.speak(text, voices[index % len(voices)]) for index, text in enumerate(texts)]

    async def speak(self, text: str, voice: Voice) -> Pcm:
        """A clip, made or taken from the cache. Raises TrunklineError."""
        key = f"{voice.engine} {voice.variant} {voice.pitch} {voice.rate} {self._settings.tts.voices[0]} {text}"
        path = self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.npy"
        if path.exists():
            kept: Pcm = np.load(path)
            return kept
        rate = voice.rate / voice.pitch
        pcm = await (self._piper(text, rate) if voice.engine == "piper" else _espeak(text, voice.variant, rate))
        if voice.pitch != 1.0:
            pcm = np.asarray(soxr.resample(pcm, RATE_HZ * voice.pitch, RATE_HZ, quality="HQ"), dtype=np.int16)
        np.save(path, pcm)
        return pcm

    async def _piper(self, text: str, rate: float) -> Pcm:
        config = pb.SynthesizeConfig(sample_rate_hz=RATE_HZ, speaking_rate=rate, locale=self._settings.agent.locale)
        requests = [
            pb.SynthesizeRequest(config=config),
            pb.SynthesizeRequest(text=text),
            pb.SynthesizeRequest(end=pb.End()),
        ]
        audio = bytearray()
        try:
            answers = rpc.TtsServiceStub(self._channel).Synthesize(_each(requests), timeout=_SPEAK_DEADLINE_S)
            async for answer in answers:
                audio += answer.audio.pcm
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        return np.frombuffer(bytes(audio), dtype="<i2").astype(np.int16)


def spoken(text: str, *, last: bool, seed: int) -> str:
    """What the synthesiser is given: a part that is not the last keeps its voice up (comma) or trails off (dots)."""
    if last or text.endswith((",", ".", "?", "!")):
        return text
    return f"{text}," if seed % 10 < 7 else f"{text}..."


def cut_at_dip(clip: Pcm, seed: int) -> list[Pcm] | None:
    """Two pieces, cut where the reader's voice dips between words; None where it never does."""
    spans = speech_spans(clip, RATE_HZ, pause_ms=_LEAST_DIP_MS)
    least = RATE_HZ * _LEAST_PART_MS // 1000
    cuts = [
        (one.end + other.start) // 2
        for one, other in itertools.pairwise(spans)
        if one.end > least and len(clip) - other.start > least
    ]
    if not cuts:
        return None
    at = cuts[seed % len(cuts)]
    return [clip[:at], clip[at:]]


def _sentences(clip: Pcm) -> list[Pcm]:
    """The utterances of a recording, apart by a long pause; word fragments and speeches are left out."""
    margin = RATE_HZ * 100 // 1000
    spans = speech_spans(clip, RATE_HZ, pause_ms=_SENTENCE_MS)
    return [_around(clip, span, margin) for span in spans if 500 <= (span.end - span.start) / 16 <= _LONGEST_MS]


def _around(clip: Pcm, span: Span, margin: int) -> Pcm:
    return clip[max(0, span.start - margin) : span.end + margin]


def _read(path: Path) -> Pcm:
    if path.suffix == ".raw":
        return np.frombuffer(path.read_bytes(), dtype="<i2").astype(np.int16)
    return _wav(path.read_bytes())


def _wav(data: bytes) -> Pcm:
    """The first channel of a WAV at 16 kHz."""
    with wave.open(io.BytesIO(data)) as stream:
        pcm = np.frombuffer(stream.readframes(stream.getnframes()), dtype="<i2")[:: stream.getnchannels()]
        rate_hz = stream.getframerate()
    return np.asarray(soxr.resample(pcm.astype(np.int16), rate_hz, RATE_HZ, quality="HQ"), dtype=np.int16)


async def _espeak(text: str, variant: str, rate: float) -> Pcm:
    """espeak-ng as a process of its own (GPL): text in on its standard input, a WAV out."""
    process = await asyncio.create_subprocess_exec(
        ESPEAK,
        *("-v", variant, "-s", str(round(_ESPEAK_WORDS_PER_MINUTE * rate)), "--stdin", "--stdout"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(text.encode()), _ESPEAK_DEADLINE_S)
    except TimeoutError:
        process.kill()
        raise UnavailableError(f"{ESPEAK} did not answer.") from None
    if process.returncode != 0 or len(out) < 44:
        raise UnavailableError(f"{ESPEAK} -v {variant} failed.", remedy="Check `espeak-ng --voices=en`.")
    # The length in the header of a WAV on a pipe is not known: count it from the data.
    pcm = np.frombuffer(out[44 : len(out) - len(out) % 2], dtype="<i2").astype(np.int16)
    rate_hz = int.from_bytes(out[24:28], "little")
    return np.asarray(soxr.resample(pcm, rate_hz, RATE_HZ, quality="HQ"), dtype=np.int16)


def _piper_voices(half: Half) -> Sequence[Voice]:
    return [voice for voice in VOICES[half] if voice.engine == "piper"]


async def _each(requests: list[pb.SynthesizeRequest]) -> AsyncIterator[pb.SynthesizeRequest]:
    for request in requests:
        yield request
