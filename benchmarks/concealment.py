"""What concealing lost Opus packets does to recognition: the same packets lost, the holes filled in different ways.

    python -m benchmarks.concealment [--rounds 5] [--loss 3,5,10] [--asr whisper-tiny.en] [--json FILE]

No call and no network: recorded sentences are coded as a browser codes them, packets are lost (seeded: every treatment
loses the same ones), put in order and decoded by the parts that a leg uses, and recognised whole. Two senders, one that
puts a copy of each packet into the next one (in-band FEC) and one that does not; two receivers, one that fills holes
with silence (what a leg did before) and one that conceals. n is sentences; the error rate is over all their words.
Without a model (`--asr ""`): only how far the sound is from that without loss, the mean difference of log spectra in
dB (40 bands, 10 ms).
"""

import argparse
import asyncio
import itertools
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
from whisper_normalizer.english import EnglishTextNormalizer

from services.asr.engine import WhisperEngine
from services.asr.hypothesis import DecodeRequest, Recognition
from services.cli.clips import Clip, human_speech
from services.cli.lossy import LineQuality, LossyLine
from services.cli.machine import commit, machine
from services.common.models import ModelStore
from services.common.settings import load_settings
from services.orchestrator.media.webrtc_audio import RTP_SAMPLES_PER_FRAME, OpusDecoder, OpusEncoder
from services.orchestrator.media.webrtc_receive import Audio, Reorder

NORMAL = EnglishTextNormalizer()
RATE_HZ = 16_000
FRAME = RATE_HZ // 50
# What a browser spends on one voice.
BIT_RATE = 32_000
# The encoder is told of this much loss, as a browser is by the reports of the other side.
FEC_FOR_PERCENT = 10
# (sender makes copies, receiver conceals)
TREATMENTS = {
    "silence": (False, False),
    "concealed": (False, True),
    "silence, sender with copies": (True, False),
    "concealed, sender with copies": (True, True),
}


def received(clip: Clip, line: LossyLine, *, copies: bool, conceal: bool) -> bytes:
    """PCM at 16 kHz as a leg would hear the clip over `line`."""
    pcm = np.asarray(clip.at(RATE_HZ).pcm, dtype="<i2")
    pcm = np.pad(pcm, (RATE_HZ // 10, RATE_HZ // 5))
    encoder = OpusEncoder(RATE_HZ, BIT_RATE, fec_for_percent=FEC_FOR_PERCENT if copies else 0)
    reorder, decoder, out = Reorder(), OpusDecoder(), b""
    for number in range(len(pcm) // FRAME):
        packet = encoder.encode(pcm[number * FRAME : (number + 1) * FRAME].tobytes())
        if line.due_ns(number * 20_000_000) is None:
            continue
        timestamp = number * RTP_SAMPLES_PER_FRAME
        for item in reorder.push(ssrc=1, seq=number, timestamp=timestamp, payload=packet, received_ns=0):
            if isinstance(item, Audio):
                out += decoder.decode(item.payload)
            elif conceal:
                out += decoder.conceal(item.samples, item.lost_packets, item.following)
            else:
                out += decoder.silence(item.samples)
    return out


def log_spectrum(pcm: bytes) -> Any:
    """dB in 40 bands every 10 ms; what is 30 dB under a quiet voice counts as nothing."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(float)
    windows = np.lib.stride_tricks.sliding_window_view(samples, 400)[::160] * np.hanning(400)
    power = np.abs(np.fft.rfft(windows, 512)) ** 2
    edges = np.geomspace(2, 200, 41).astype(int)
    bands = [power[:, a : max(b, a + 1)].mean(axis=1) for a, b in itertools.pairwise(edges)]
    return 10 * np.log10(np.stack(bands, axis=1) + 1e4)


def measure(clips: list[Clip], percents: list[float], rounds: int, model: str) -> list[dict[str, Any]]:
    """A row per loss and treatment."""
    settings = load_settings(overrides={"asr": {"model": model}} if model else {})
    engine = WhisperEngine(settings.asr, ModelStore(settings.models).path(model)) if model else None
    rows = []
    for percent in percents:
        for name, (copies, conceal) in TREATMENTS.items():
            said, heard, away_db, lost, packets = [], [], [], 0, 0
            for seed in range(1, (rounds if percent else 1) + 1):
                for number, clip in enumerate(clips):
                    line = LossyLine(LineQuality(loss=percent / 100, seed=1000 * seed + number))
                    pcm = received(clip, line, copies=copies, conceal=conceal)
                    whole = received(clip, LossyLine(LineQuality()), copies=copies, conceal=conceal)
                    pair = log_spectrum(pcm), log_spectrum(whole)
                    shared = min(map(len, pair))
                    away_db.append(float(np.abs(pair[0][:shared] - pair[1][:shared]).mean()))
                    if engine is not None:
                        # As for a final of a call: with words, so that a decode that ran away is done again.
                        samples = np.frombuffer(pcm, dtype="<i2")
                        found = engine.recognise([DecodeRequest(samples, Recognition(locale="en"), words=True)])[0]
                        said.append(NORMAL(clip.text))
                        heard.append(NORMAL(found.text.reveal()))
                    lost, packets = lost + line.lost, packets + line.lost + line.passed
            rows.append(
                {
                    "loss_percent": percent,
                    "treatment": name,
                    "n": len(away_db),
                    "lost_percent": round(100 * lost / packets, 2),
                    "difference_db": round(float(np.mean(away_db)), 2),
                    **(words(said, heard) if said else {}),
                }
            )
            print(rows[-1], flush=True)
    return rows


def words(said: list[str], heard: list[str]) -> dict[str, Any]:
    """What recognition made of it."""
    errors = jiwer.process_words(said, heard)
    return {
        "words": sum(len(text.split()) for text in said),
        "wrong_words": errors.substitutions + errors.deletions + errors.insertions,
        "sentences_right": sum(a == b for a, b in zip(said, heard, strict=True)),
        "wer_percent": round(100 * errors.wer, 1),
    }


def main() -> None:
    """Measure, print a line per row, write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--loss", default="0,3,5,10", help="percent")
    parser.add_argument("--asr", default="whisper-tiny.en")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    clips = human_speech(ModelStore(load_settings().models))
    rows = measure(clips, [float(part) for part in args.loss.split(",")], args.rounds, args.asr)
    document = {
        "what": f"concealment of lost Opus packets, {args.asr or 'sound alone'}",
        "machine": asdict(asyncio.run(machine())),
        "commit": commit(),
        "load_average": os.getloadavg(),
        "rows": rows,
    }
    if args.json:
        args.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
