"""What a bundle's hotwords do to what the recogniser hears, of its own sentences and of other speech.

    python -m benchmarks.hotwords [--bundle DIR] [--locale en-GB] [--json FILE]

Own sentences: what callers say at the opening (benchmarks/data/understanding, tuning half) with a hotword in it, in the
stack's voice at three pitches, as G.711 at 8 kHz carries them, clean and with pink noise at 10 dB. Other speech: the
sentences without a hotword, and the recorded speech set. Each is decoded with and without the hotwords by the engine
alone. Counted: hotwords found, hotwords heard where none was said, word error rate.
"""

import argparse
import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import jiwer
import numpy as np
import soxr
from whisper_normalizer.english import EnglishTextNormalizer

import services.asr  # noqa: F401  (sets the thread count of OpenBLAS before numpy is imported)
from benchmarks.understanding.cases import load
from services.asr.engine import WhisperEngine
from services.asr.hypothesis import DecodeRequest, Pcm, Recognition
from services.cli.clips import human_speech
from services.cli.machine import commit, machine
from services.cli.speech_clients import speak
from services.common.clock import SystemClock
from services.common.models import ModelStore
from services.common.rpc_server import serve
from services.common.settings import Settings, load_settings
from services.orchestrator.bundles.checks import validate_directory
from services.tts.server import build

CLOCK = SystemClock()
NORMAL = EnglishTextNormalizer()
PITCHES = (0.94, 1.0, 1.08)
SNR_DB = 10
RATE_HZ = 16_000


@dataclass
class Line:
    """One kind of speech, decoded one way."""

    speech: str
    hotwords: bool
    n: int
    wer_percent: float
    said: int
    found: int
    invented: int


def main() -> None:
    """Measure, print a table, write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--bundle", type=Path, default=Path("deploy/agents/bank-retail"))
    parser.add_argument("--locale", default="en-GB")
    parser.add_argument("--words", help="other hotwords than the bundle's, comma-separated")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    bundle, _ = validate_directory(args.bundle)
    if bundle is None:
        parser.error(f"{args.bundle} is no valid bundle: see `trunkline bundle validate`.")
    words = tuple(args.words.split(",")) if args.words else bundle.agent.locales[args.locale].asr_hotwords
    phrases = [case.words for case in load("tuning") if (case.bundle, case.locale) == (bundle.agent.id, args.locale)]
    lines = asyncio.run(measure(load_settings(), phrases, words))
    print(f"hotwords: {', '.join(words)}")
    for line in lines:
        how = "with" if line.hotwords else "without"
        print(
            f"{line.speech:<28} {how:<8} n={line.n:<4} WER {line.wer_percent:5.1f} %   "
            f"found {line.found} of {line.said}, invented {line.invented}"
        )
    if args.json:
        facts = {
            "hotwords": words,
            "lines": [asdict(line) for line in lines],
            "machine": asdict(asyncio.run(machine())),
            "commit": commit(),
        }
        args.json.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


async def measure(settings: Settings, phrases: Sequence[str], words: tuple[str, ...]) -> list[Line]:
    """Every kind of speech, without and with."""
    own = [text for text in phrases if count(text, words)]
    rest = [text for text in phrases if not count(text, words)]
    store = ModelStore(settings.models)
    recorded = [(clip.text, telephone(clip.at(RATE_HZ).pcm)) for clip in human_speech(store)]
    server = await serve(build(settings, CLOCK), settings.rpc, CLOCK, host="127.0.0.1", port=0)
    try:
        tts = settings.tts.model_copy(update={"target": f"127.0.0.1:{server.port}"})
        voiced = settings.model_copy(update={"tts": tts})
        spoken = {text: [await take(text, pitch, voiced) for pitch in PITCHES] for text in phrases}
    finally:
        await server.stop()
    kinds = {
        "own, clean": [(text, pcm) for text in own for pcm in spoken[text]],
        f"own, noise {SNR_DB} dB": [(text, noisy(pcm, n)) for text in own for n, pcm in enumerate(spoken[text])],
        "other phrases, clean": [(text, pcm) for text in rest for pcm in spoken[text]],
        f"other phrases, noise {SNR_DB} dB": [
            (text, noisy(pcm, n)) for text in rest for n, pcm in enumerate(spoken[text])
        ],
        "recorded, clean": recorded,
        f"recorded, noise {SNR_DB} dB": [(text, noisy(pcm, n)) for n, (text, pcm) in enumerate(recorded)],
    }
    engine = WhisperEngine(settings.asr, store.path(settings.asr.model))
    return [decoded(kind, speech, words, engine, used=used) for kind, speech in kinds.items() for used in (False, True)]


def decoded(
    kind: str, speech: Sequence[tuple[str, Pcm]], words: tuple[str, ...], engine: WhisperEngine, *, used: bool
) -> Line:
    """One kind of speech by one way of decoding."""
    how = Recognition(locale="en", hotwords=words if used else ())
    said = [NORMAL(text) for text, _ in speech]
    heard = [NORMAL(engine.recognise([DecodeRequest(pcm, how)])[0].text.reveal()) for _, pcm in speech]
    pairs = [(count(one, words), count(other, words)) for one, other in zip(said, heard, strict=True)]
    return Line(
        kind,
        used,
        len(speech),
        round(100 * jiwer.wer(said, heard), 1),
        sum(there for there, _ in pairs),
        sum(min(there, found) for there, found in pairs),
        sum(max(0, found - there) for there, found in pairs),
    )


def count(text: str, words: Sequence[str]) -> int:
    """How many hotwords stand in a text."""
    return sum(len(re.findall(rf"\b{re.escape(word)}\b", text, re.IGNORECASE)) for word in words)


async def take(text: str, pitch: float, settings: Settings) -> Pcm:
    """A phrase at one pitch, as a telephone carries it."""
    clip = await speak(text, settings, CLOCK, rate=1 / pitch)
    return telephone(np.asarray(soxr.resample(clip.at(RATE_HZ).pcm, RATE_HZ * pitch, RATE_HZ), dtype=np.int16))


def telephone(pcm: Pcm) -> Pcm:
    """8 kHz and back, a quarter of a second of silence around it."""
    narrow = soxr.resample(soxr.resample(pcm, RATE_HZ, 8_000), 8_000, RATE_HZ)
    return np.pad(np.asarray(narrow, dtype=np.int16), RATE_HZ // 4)


def noisy(pcm: Pcm, seed: int) -> Pcm:
    """With pink noise at SNR_DB."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(len(pcm)))
    pink = np.fft.irfft(spectrum / np.sqrt(np.arange(len(spectrum)) + 1.0), len(pcm))
    level = (
        np.sqrt(np.mean(np.square(pcm.astype(np.float64)))) / np.sqrt(np.mean(np.square(pink))) * 10 ** (-SNR_DB / 20)
    )
    return np.clip(pcm + pink * level, -32768, 32767).astype(np.int16)


if __name__ == "__main__":
    main()
