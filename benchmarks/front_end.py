"""Does echo cancelling, noise suppression or gain control help what hears the caller? On 8 kHz G.711 lines.

    python -m benchmarks.front_end [--part echo,noise,level,talk,cost] [--models whisper-tiny.en] [--json FILE]

Speech of the caller is recorded (`speech-test`), the agent's is synthesised by our voice, rooms and noise are made
(benchmarks/rooms.py, seeded). The front end is the one that calls use, fed in 20 ms ticks with what was sent and what
came back; probabilities are silero's, onsets those of the turn-taker's detector. "Off" is the line as it is.
"""

import argparse
import itertools
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
from pywebrtc_audio import AudioProcessor, EchoCanceller
from whisper_normalizer.english import EnglishTextNormalizer

import services.asr  # noqa: F401  (sets the thread count of OpenBLAS before numpy is imported)
from benchmarks.rooms import RATE_HZ, Audio, EchoPath, Pcm, as_audio, at_level, babble, g711, pink
from services.asr.engine import WhisperEngine
from services.asr.hypothesis import DecodeRequest, Recognition
from services.cli.clips import human_speech
from services.common.clock import SystemClock
from services.common.models import ModelStore
from services.common.settings import TurnSettings, load_settings
from services.orchestrator.media.audio import AudioIn, ModelFrame, Resampler
from services.orchestrator.media.front_end import FrontEnd
from services.orchestrator.media.leg import Playout
from services.orchestrator.turns.signals import VadFrame
from services.orchestrator.turns.speech import SpeechDetector
from services.tts.engine import ClauseJob
from services.tts.piper_engine import PiperEngine
from services.tts.spoken import spoken_words
from services.vad.silero import SileroEngine

CLOCK = SystemClock()
NORMAL = EnglishTextNormalizer()
FRAME = RATE_HZ // 50
TICK_NS = 20_000_000
GAP_MS = 1_500
LINE_NOISE_DBFS = -62.0
SENTENCES = (
    "Hello, you are talking to an automated assistant. How can I help you?",
    "Your appointment is on Tuesday the fourteenth at half past nine in the morning. Would you like to keep it?",
    "I have found two accounts with that name. Could you tell me your date of birth, please?",
    "The order was shipped yesterday and should arrive within three working days.",
    "Sorry, I did not catch that. Could you say it again?",
    "Your balance is one thousand two hundred and forty dollars and sixty cents.",
    "Please hold on for a moment while I look that up for you in our system.",
    "Thank you. I have changed the address and you will get a letter that confirms it.",
)
# Delay, seed of the room, its reverberation time.
ROOMS = ((40, 1, 200), (120, 2, 350), (250, 3, 500))


@dataclass(frozen=True)
class Material:
    """Voices at 8 kHz, full scale 1.0."""

    agent: list[Audio]
    caller: list[Audio]
    texts: list[str]
    vad: SileroEngine


@dataclass
class LineCall:
    """One call on a made line: `sent` in 20 ms frames where `active`, `heard` what came back."""

    sent: Pcm
    active: list[bool]
    heard: Pcm
    # Agent's sentences and caller's interruptions, ms.
    sentences: list[tuple[float, float]]
    interruptions: list[float]

    def frames(self, front_end: FrontEnd | None) -> list[ModelFrame]:
        """What the detector is given."""
        audio, out, sent = AudioIn(RATE_HZ), list[ModelFrame](), 0
        for tick, active in enumerate(self.active):
            at_ns, piece = (tick + 1) * TICK_NS, slice(tick * FRAME, (tick + 1) * FRAME)
            if active and front_end is not None:
                front_end.reference.play(self.sent[piece].tobytes())
                sent += FRAME
                front_end.on_playout(Playout(sent, 0, 0), at_ns)
            frames = audio.push(self.heard[piece].tobytes(), at_ns)
            out += front_end.hear(frames) if front_end is not None and front_end.awake else frames
        return out


def main() -> None:
    """Measure what was asked for, print it, write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--part", default="echo,noise,level,talk,cost")
    parser.add_argument("--models", default="whisper-tiny.en")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    material = load()
    hears = {"noise", "level", "talk"} & set(args.part.split(","))
    engines = {name: recogniser(name) for name in args.models.split(",") if hears}
    parts: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "echo": lambda: echo_rows(material),
        "noise": lambda: noise_rows(material, engines),
        "level": lambda: level_rows(material, engines),
        "talk": lambda: double_talk_rows(material, engines),
        "cost": lambda: cost_rows(material),
    }
    found: dict[str, Any] = {"cpus": os.cpu_count(), "load_average": os.getloadavg()}
    for part in args.part.split(","):
        print(f"-- {part}")
        found[part] = parts[part]()
        for row in found[part]:
            print("   " + "  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
        if args.json:
            args.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


def load() -> Material:
    """Voices, texts, detector."""
    settings = load_settings()
    store = ModelStore(settings.models)
    clips = human_speech(store)
    tts = PiperEngine(settings.tts, store, CLOCK)
    tts.load()
    agent = []
    for text in SENTENCES:
        job = ClauseJob(spoken_words(text, "en-US"), settings.tts.voices[0], RATE_HZ, 1.0)
        agent.append(as_audio(np.frombuffer(tts.prerender(job, [RATE_HZ])[RATE_HZ][1], "<i2").astype(np.int16)))
    vad = SileroEngine(next(iter(sorted(store.path("silero-vad-v6").rglob("*.onnx")))), 1)
    return Material(agent, [as_audio(c.at(RATE_HZ).pcm) for c in clips], [c.text for c in clips], vad)


def recogniser(name: str) -> WhisperEngine:
    """As the service loads it."""
    settings = load_settings(overrides={"asr": {"model": name, "threads": 1}})
    return WhisperEngine(settings.asr, ModelStore(settings.models).path(name))


def make_call(material: Material, path: EchoPath | None, caller_dbfs: float | None, number: int) -> LineCall:
    """Eight sentences of the agent; the caller talks over each of them where `caller_dbfs` is given."""
    gap = np.zeros(GAP_MS * RATE_HZ // 1000)
    voices = [at_level(material.agent[(number + i) % len(material.agent)], -20) for i in range(len(material.agent))]
    sentences, parts, at = [], [], 0
    for voice in voices:
        sentences.append((at / 8, (at + len(voice)) / 8))
        parts += [voice, gap]
        at += len(voice) + len(gap)
    sent = np.concatenate(parts)
    sent = sent[: len(sent) // FRAME * FRAME]
    line = 10 ** (LINE_NOISE_DBFS / 20) * pink(len(sent), number)
    if path is not None:
        line += path.echo(as_audio(g711(sent)))
    interruptions = []
    for index, (start_ms, _) in enumerate(sentences if caller_dbfs is not None else []):
        clip = at_level(material.caller[(3 * number + index) % len(material.caller)], caller_dbfs or 0)[:9600]
        # The greeting is interrupted early.
        begin = int((start_ms + (400 if index == 0 else 1500) + 137 * index % 600) * 8)
        line[begin : begin + len(clip)] += clip[: len(line) - begin]
        interruptions.append(begin / 8)
    active = [any(a < (t + 1) * 20 and t * 20 < b for a, b in sentences) for t in range(len(sent) // FRAME)]
    return LineCall(g711(sent), active, g711(line), sentences, interruptions)


def probabilities(vad: SileroEngine, calls: Sequence[Sequence[ModelFrame]]) -> np.ndarray:
    """[calls, frames], all in step."""
    count, frames = len(calls), min(map(len, calls))
    state, context = np.zeros((2, count, 128), np.float32), np.zeros((count, 64), np.float32)
    out = np.zeros((count, frames), np.float32)
    for index in range(frames):
        pcm = np.stack([np.frombuffer(call[index].pcm, "<i2") for call in calls]).astype(np.float32) / 32768
        out[:, index], state = vad.infer(np.concatenate([context, pcm], axis=1), state)
        context = pcm[:, -64:]
    return out


def onsets(frames: Sequence[ModelFrame], probability: np.ndarray) -> list[float]:
    """When the turn-taker's detector knew of speech, ms of the call's audio."""
    detector, found = SpeechDetector(TurnSettings()), []
    for index, (frame, p) in enumerate(zip(frames, probability, strict=False)):
        now_ms = (index + 1) * 32.0
        if detector.push(VadFrame(frame.end_ns, frame.end_ns, float(p), frame.levels_db)) == "onset":
            found.append(now_ms)
        if detector.active and not detector.voiced and frame.end_ns - detector.last_voiced_ns > 300_000_000:
            detector.reset()
    return found


def judged(call: LineCall, found: Sequence[float]) -> tuple[int, list[float]]:
    """Sentences with an onset that no caller made, and the delays of the interruptions that were found."""

    def is_caller(at: float) -> bool:
        return any(-30 <= at - begin < 1700 for begin in call.interruptions)

    false = sum(any(a <= at < b + 500 and not is_caller(at) for at in found) for a, b in call.sentences)
    delays = [next((at - i for at in found if -30 <= at - i < 700), None) for i in call.interruptions]
    return false, [d for d in delays if d is not None]


def echo_rows(material: Material) -> list[dict[str, Any]]:
    """False and kept barge-ins per echo return loss and caller's level, without and with the front end."""
    rows, numbers = [], itertools.count()
    for loss_db, caller_dbfs in itertools.product((6, 12, 18, 24, 30, 40, None), (None, -20.0, -35.0)):
        calls = []
        for delay_ms, seed, t60_ms in ROOMS:
            path = None if loss_db is None else EchoPath(delay_ms, loss_db, t60_ms, seed=seed)
            calls.append(make_call(material, path, caller_dbfs, next(numbers)))
        row: dict[str, Any] = {"echo_return_loss_db": loss_db, "caller_dbfs": caller_dbfs}
        row["n"] = sum(len(call.sentences) for call in calls)
        for name, ends in (("off", [None] * 3), ("on", [FrontEnd(RATE_HZ) for _ in calls])):
            heard = [call.frames(end) for call, end in zip(calls, ends, strict=True)]
            p = probabilities(material.vad, heard)
            results = [judged(c, onsets(f, q)) for c, f, q in zip(calls, heard, p, strict=True)]
            delays = [d for _, found in results for d in found]
            row[f"false_{name}"] = sum(false for false, _ in results)
            if caller_dbfs is not None:
                row[f"kept_{name}"] = len(delays)
                if delays:
                    p50, p95 = np.percentile(delays, [50, 95])
                    row[f"onset_p50_ms_{name}"], row[f"onset_p95_ms_{name}"] = round(p50), round(p95)
        rows.append(row)
    return rows


Process = Callable[[Pcm], Pcm]


def up(pcm: Pcm) -> Pcm:
    """To the models' 16 kHz."""
    return Resampler(RATE_HZ).push(pcm)


def treatments() -> dict[str, Process]:
    """What could be done to the caller's audio at 16 kHz."""

    def with_processor(**options: Any) -> Process:
        def process(pcm: Pcm) -> Pcm:
            whole = np.concatenate([pcm, np.zeros(-len(pcm) % 160, np.int16)])
            out: Pcm = AudioProcessor(sample_rate=16_000, **options).process(whole)
            return out[: len(pcm)]

        return process

    return {
        "off": lambda pcm: pcm,
        "ns 12 dB": with_processor(noise_suppression=True, ns_level=1),
        "ns 21 dB": with_processor(noise_suppression=True, ns_level=3),
        "agc": with_processor(auto_gain_control=True),
    }


def wer(engine: WhisperEngine, spoken: Sequence[str], audio: Sequence[Pcm]) -> float:
    """Percent of words, one utterance at a time."""
    heard = [
        engine.recognise([DecodeRequest(pcm, Recognition(locale="en-US"), words=False)])[0].text.reveal()
        for pcm in audio
    ]
    return round(100 * float(jiwer.wer([NORMAL(s) for s in spoken], [NORMAL(h) for h in heard])), 1)


def padded(clip: Audio) -> Audio:
    """With 0.8 s of line before (a suppressor learns the noise there) and 0.4 s after."""
    return np.concatenate([np.zeros(6400), clip, np.zeros(3200)])


def noise_rows(material: Material, engines: dict[str, WhisperEngine]) -> list[dict[str, Any]]:
    """WER in noise, and onsets that noise alone causes per minute, per treatment."""
    rows = []
    clean = [padded(at_level(clip, -20)) for clip in material.caller]
    for kind, snr_db in ((None, None), *itertools.product(("pink", "babble"), (20, 10, 5))):
        lines, alone = [], np.zeros(60 * RATE_HZ)
        for index, clip in enumerate(clean):
            noise = made_noise(material, kind, len(clip), index)
            lines.append(up(g711(clip + noise * 10 ** ((-20 - (snr_db or 99)) / 20))))
        alone = made_noise(material, kind, len(alone), 99) * 10 ** ((-20 - (snr_db or 99)) / 20)
        for name, process in treatments().items():
            row: dict[str, Any] = {"noise": kind or "none", "snr_db": snr_db, "treatment": name, "n": len(lines)}
            processed = [process(pcm) for pcm in lines]
            for model, engine in engines.items():
                row[f"wer_{model.removeprefix('whisper-')}"] = wer(engine, material.texts, processed)
            frames = cut(process(up(g711(alone))))
            row["false_onsets_a_minute"] = len(onsets(frames, probabilities(material.vad, [frames])[0]))
            rows.append(row)
    return rows


def made_noise(material: Material, kind: str | None, samples: int, seed: int) -> Audio:
    """Of unit RMS; zeros for none."""
    if kind is None:
        return np.zeros(samples)
    return pink(samples, seed) if kind == "pink" else babble(samples, material.caller, seed)


def cut(pcm: Pcm) -> list[ModelFrame]:
    """16 kHz audio as detector frames."""
    audio, frames = AudioIn(16_000), list[ModelFrame]()
    for at in range(0, len(pcm), 320):
        frames += audio.push(pcm[at : at + 320].tobytes(), (at + 320) * 62_500)
    return frames


def level_rows(material: Material, engines: dict[str, WhisperEngine]) -> list[dict[str, Any]]:
    """Quiet and loud callers: words and onsets, as they are and with gain control."""
    rows = []
    for dbfs in (-10, -20, -26, -35, -45):
        lines = [
            up(g711(padded(at_level(clip, dbfs)) + 10 ** (LINE_NOISE_DBFS / 20) * pink(len(clip) + 9600, i)))
            for i, clip in enumerate(material.caller)
        ]
        for name in ("off", "agc"):
            processed = [treatments()[name](pcm) for pcm in lines]
            row: dict[str, Any] = {"caller_dbfs": dbfs, "treatment": name, "n": len(lines)}
            for model, engine in engines.items():
                row[f"wer_{model.removeprefix('whisper-')}"] = wer(engine, material.texts, processed)
            delays = []
            for pcm in processed:
                frames = cut(pcm)
                found = onsets(frames, probabilities(material.vad, [frames])[0])
                delays += [at - 800 for at in found[:1]]
            row["onsets_found"] = len(delays)
            row["onset_p50_ms"] = round(statistics.median(delays)) if delays else None
            rows.append(row)
    return rows


def double_talk_rows(material: Material, engines: dict[str, WhisperEngine]) -> list[dict[str, Any]]:
    """What the recogniser makes of a caller who talks over our voice: the line as it is, and echo-cancelled."""
    rows = []
    for loss_db in (6, 12, 24):
        raw, clean = [], []
        for index, clip in enumerate(material.caller):
            lead = at_level(material.agent[index % len(material.agent)], -20)
            far = np.resize(np.concatenate([lead, lead[: len(lead) // 2]]), 16_000 + len(clip) + 3_200)
            line = EchoPath(120, loss_db, 350, seed=2).echo(as_audio(g711(far)))
            line[16_000 : 16_000 + len(clip)] += at_level(clip, -20)
            near16, far16 = up(g711(line)), up(g711(far))
            whole = len(near16) // 160 * 160
            cancelled = EchoCanceller(16_000, 1, 0).process(near16[:whole], far16[:whole])
            raw.append(near16[31_000:])
            clean.append(cancelled[31_000:])
        for name, audio in (("off", raw), ("aec", clean)):
            row: dict[str, Any] = {"echo_return_loss_db": loss_db, "treatment": name, "n": len(audio)}
            for model, engine in engines.items():
                row[f"wer_{model.removeprefix('whisper-')}"] = wer(engine, material.texts, audio)
            rows.append(row)
    return rows


def cost_rows(material: Material) -> list[dict[str, Any]]:
    """CPU time of the front end, ms per second of call, beyond what the call costs without it."""
    rows = []
    for name, path, talk in (
        ("agent speaks, no echo", None, None),
        ("agent speaks, no echo, caller talks over", None, -20.0),
        ("agent speaks, echo", EchoPath(120, 18, seed=2), None),
    ):
        call = make_call(material, path, talk, 1)
        seconds = len(call.heard) / RATE_HZ
        speaking = sum(call.active) / 50

        def cpu_ms(front_end: FrontEnd | None, call: LineCall = call) -> float:
            began = time.process_time_ns()
            call.frames(front_end)
            return (time.process_time_ns() - began) / 1e6

        off = statistics.median(cpu_ms(None) for _ in range(5))
        on = statistics.median(cpu_ms(FrontEnd(RATE_HZ)) for _ in range(5))
        rows.append(
            {
                "what": name,
                "n": 5,
                "seconds": round(seconds),
                "agent_speaks_s": round(speaking),
                "off_ms_a_second": round(off / seconds, 2),
                "added_ms_a_second": round((on - off) / seconds, 2),
            }
        )
    silent = make_call(material, None, -20.0, 1)
    silent.active = [False] * len(silent.active)
    front_end = FrontEnd(RATE_HZ)
    silent.frames(front_end)
    rows.append({"what": "agent silent", "asked": int(front_end.awake), "added_ms_a_second": 0.0})
    return rows


if __name__ == "__main__":
    main()
