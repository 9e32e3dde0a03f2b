"""Telephone lines with rooms at their ends, for measurements: echo paths, noise, levels, G.711. Pure numpy, seeded.

Everything is float at 8 kHz, full scale 1.0, until `g711` makes PCM of it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 8_000
Audio = NDArray[np.float64]
Pcm = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class EchoPath:
    """From our packet leaving to its echo coming back: what the caller's telephone and room do to our voice."""

    # Network both ways, jitter buffer, sound card: until the direct sound reaches the microphone and comes back.
    delay_ms: int
    # Echo return loss: level of the echo below what we sent.
    erl_db: float
    # Reverberation time of the room.
    t60_ms: int = 250
    # Drive of the loudspeaker into its soft limit; 0: linear.
    distortion: float = 1.5
    seed: int = 1

    def echo(self, sent: Audio) -> Audio:
        """The echo of `sent`, as long as it."""
        played = np.tanh(self.distortion * 3 * sent) / (self.distortion * 3) if self.distortion else sent
        if self.distortion:
            # Asymmetric cone: a second harmonic.
            played = played + 0.15 * self.distortion * played**2
        heard = _convolved(played, self._response())[: len(sent)]
        shift = self.delay_ms * RATE_HZ // 1000
        heard = np.concatenate([np.zeros(shift), heard])[: len(sent)]
        return heard * _gain_between(sent, heard, -self.erl_db)

    def _response(self) -> Audio:
        """Direct sound, then exponentially decaying noise (Polack's model), through a small loudspeaker."""
        rng = np.random.default_rng(self.seed)
        n = self.t60_ms * RATE_HZ // 1000
        tail = rng.standard_normal(n) * np.exp(-6.9 * np.arange(n) / n)
        tail[: int(0.003 * RATE_HZ)] = 0
        response = 0.35 * tail / np.sqrt(np.sum(tail**2))
        response[int(rng.integers(0, 16))] += 1.0
        small: Audio = np.array([1.0, -0.85])
        return np.convolve(response, small)


def _convolved(signal: Audio, response: Audio) -> Audio:
    """By FFT: rooms are thousands of taps long."""
    count = len(signal) + len(response) - 1
    size = 1 << (count - 1).bit_length()
    return np.fft.irfft(np.fft.rfft(signal, size) * np.fft.rfft(response, size), size)[:count]


def _gain_between(reference: Audio, signal: Audio, level_db: float) -> float:
    return float(10 ** (level_db / 20) * rms(reference) / max(1e-9, rms(signal)))


def rms(audio: Audio) -> float:
    """Over the loud half: pauses do not count."""
    frames = audio[: len(audio) // 160 * 160].reshape(-1, 160)
    power = (frames**2).mean(axis=1)
    loud = power[power >= 0.01 * power.max()] if len(power) and power.max() > 0 else power
    return float(np.sqrt(loud.mean())) if len(loud) else 0.0


def at_level(audio: Audio, dbfs: float) -> Audio:
    """Speech brought to a level (dB of full scale, pauses not counted)."""
    scaled: Audio = audio * (10 ** (dbfs / 20) / max(1e-9, rms(audio)))
    return scaled


def pink(samples: int, seed: int) -> Audio:
    """1/f noise of unit RMS."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal(samples)) / np.sqrt(np.maximum(4, np.arange(samples // 2 + 1)))
    noise = np.fft.irfft(spectrum, samples)
    return noise / max(1e-9, float(np.sqrt((noise**2).mean())))


def babble(samples: int, voices: list[Audio], seed: int, talkers: int = 6) -> Audio:
    """People talking behind the caller, of unit RMS: `talkers` recordings at random places, summed."""
    rng = np.random.default_rng(seed)
    out = np.zeros(samples)
    for _ in range(talkers):
        track = np.concatenate([at_level(voices[int(i)], -20) for i in rng.permutation(len(voices))])
        out += np.resize(np.roll(track, int(rng.integers(0, len(track)))), samples)
    return out / max(1e-9, float(np.sqrt((out**2).mean())))


def g711(audio: Audio) -> Pcm:
    """Through G.711 µ-law (ITU-T G.711, segment tables) and back to 16-bit PCM."""
    linear = np.clip(np.round(audio * 32767), -32635, 32635).astype(np.int32)
    magnitude = np.abs(linear) + 132
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    decoded = (((mantissa << 3) + 132) << exponent) - 132
    return (np.sign(linear) * decoded).astype(np.int16)


def as_audio(pcm: Pcm) -> Audio:
    """PCM as floats."""
    return pcm.astype(np.float64) / 32768
