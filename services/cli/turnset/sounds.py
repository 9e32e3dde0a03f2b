"""Sounds that are not words, and the line they come over: coughs, laughs, hums, noise, G.711. Pure, from a seed.

Cough: up to three phases (Morice et al., ERS guidelines on the assessment of cough, 2007): a noise burst that rises
within 5 ms and decays, a quieter breathy phase through the vocal tract's resonances, and at times a voiced end.
Laugh: notes of 75 ms about every 210 ms that get quieter and lower (Provine & Yong, Ethology 89, 1991), half voiced
("ha"), half breath. Hum ("mm", "mhm", "hmm"): voice through a closed mouth, which has a strong first resonance near
250 Hz, a gap near 800 Hz and weak, wide resonances above it (nasal murmur: Fujimura, JASA 34, 1962); synthesisers of
speech spell these words ("em aitch em"). They are models of the sounds, not recordings: people's are more varied.
"""

import numpy as np
from numpy.typing import NDArray

from services.cli.caller import Pcm

RATE_HZ = 16_000
Floats = NDArray[np.float64]
_MU = 255.0
# Nasal murmur: resonance, width and gain.
_MURMUR = ((255.0, 60.0, 1.0), (1050.0, 180.0, 0.10), (2200.0, 250.0, 0.05), (2900.0, 300.0, 0.03))
_MURMUR_GAP_HZ, _MURMUR_GAP_WIDTH_HZ = 800.0, 200.0
HUMS = ("mm", "mhm", "hmm")


def cough(seed: int) -> Floats:
    """One to three coughs, peak 1."""
    chance = np.random.default_rng(seed)
    size, voiced_end = chance.uniform(0.8, 1.3), chance.random() < 0.7
    out = [_one_cough(chance, size, voiced_end)]
    for _ in range(int(chance.integers(0, 3))):
        out += [
            np.zeros(_samples(chance.uniform(60, 260))),
            chance.uniform(0.5, 0.9) * _one_cough(chance, size, voiced_end),
        ]
    return _peak(np.concatenate(out))


def laugh(seed: int) -> Floats:
    """Three to seven notes, peak 1."""
    chance = np.random.default_rng(seed)
    notes, f0 = int(chance.integers(3, 8)), chance.uniform(160, 380)
    breathy = chance.uniform(0.3, 0.9)
    out: list[Floats] = []
    for index in range(notes):
        length = _samples(chance.uniform(60, 95))
        fall = 0.93**index
        pulses = _pulses(length, f0 * fall * chance.uniform(0.95, 1.05), 0.9)
        breath = chance.standard_normal(length) * 0.5
        note = _resonate((1 - breathy) * pulses + breathy * breath, (750, 1300, 2600), (90, 120, 200))
        out += [fall * _swell(note, 15, 40), np.zeros(_samples(chance.uniform(105, 160)))]
    return _peak(np.concatenate(out[:-1]))


def hum(word: str, seed: int) -> Floats:
    """One of `HUMS` by a caller of the seed's pitch, peak 1: a note, two with a breath between them, a breath first."""
    chance = np.random.default_rng(seed)
    f0 = chance.uniform(90, 135) if chance.random() < 0.5 else chance.uniform(165, 250)
    # Listening ends on a rise as often as on a fall.
    glide = chance.uniform(1.1, 1.35) if chance.random() < 0.5 else chance.uniform(0.75, 0.92)
    if word == "mhm":
        first = _note(chance, chance.uniform(110, 190), f0, chance.uniform(0.93, 1.02))
        breath = _nose_breath(chance, chance.uniform(40, 80))
        out = [first, breath, chance.uniform(0.8, 1.2) * _note(chance, chance.uniform(140, 260), f0 * glide, 0.92)]
    else:
        out = [_note(chance, chance.uniform(220, 420), f0, glide)]
        if word == "hmm":
            out.insert(0, _nose_breath(chance, chance.uniform(50, 110)))
    return _peak(np.concatenate(out))


def pink_noise(samples: int, seed: int) -> Floats:
    """1/f noise, RMS 1."""
    # A power of two: transforms of prime lengths take long.
    size = 1 << max(1, samples - 1).bit_length()
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(size))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    spectrum[0] = 0
    return _unit(np.fft.irfft(spectrum, size)[:samples])


def babble(samples: int, voices: list[Pcm], seed: int) -> Floats:
    """Six talkers at once out of `voices` (16 kHz), RMS 1; where there are none, pink noise."""
    if not voices:
        return pink_noise(samples, seed)
    chance = np.random.default_rng(seed)
    out = np.zeros(samples)
    for _ in range(6):
        clip = voices[int(chance.integers(len(voices)))].astype(np.float64)
        talker = np.resize(clip, samples + len(clip))
        start = int(chance.integers(len(clip)))
        out += _unit(talker[start : start + samples])
    return _unit(out)


def g711(pcm: Pcm) -> Pcm:
    """16-bit samples through µ-law and back (ITU-T G.711, the continuous curve at 8 bits)."""
    x = np.clip(pcm.astype(np.float64) / 32768.0, -1, 1)
    compressed = np.sign(x) * np.log1p(_MU * np.abs(x)) / np.log1p(_MU)
    steps = np.round(compressed * 127) / 127
    expanded = np.sign(steps) * np.expm1(np.abs(steps) * np.log1p(_MU)) / _MU
    out: Pcm = np.clip(np.round(expanded * 32768.0), -32768, 32767).astype(np.int16)
    return out


def room_echo(pcm: Pcm, seed: int) -> Floats:
    """What a loudspeaker phone sends back: late, dull and with a little room."""
    chance = np.random.default_rng(seed)
    late = np.concatenate((np.zeros(_samples(chance.uniform(60, 200))), pcm.astype(np.float64)))
    tail = chance.standard_normal(_samples(120)) * np.exp(-np.arange(_samples(120)) / _samples(30))
    tail[0] = 8.0
    size = len(late) + len(tail)
    wet = np.fft.irfft(np.fft.rfft(late, size) * np.fft.rfft(tail, size) * _band(size, 300, 3000), size)
    return wet[: len(late)]


def _one_cough(chance: np.random.Generator, size: float, voiced_end: bool) -> Floats:
    burst_n, breath_n, voiced_n = (
        _samples(45 * size),
        _samples(chance.uniform(90, 190) * size),
        _samples(chance.uniform(80, 220) * size),
    )
    burst = chance.standard_normal(burst_n) * np.exp(-np.arange(burst_n) / (burst_n / 2.5))
    burst[: _samples(4)] *= np.linspace(0, 1, _samples(4))
    breath = _resonate(chance.standard_normal(breath_n), (500, 1200, 2400), (250, 350, 500))
    breath = _unit(breath) * 0.25 * np.linspace(1, 0.25, breath_n)
    out = [_resonate(burst, (450, 1500, 3000), (400, 500, 700)), breath]
    out[0] /= np.max(np.abs(out[0]))
    if voiced_end:
        tone = _resonate(_pulses(voiced_n, chance.uniform(120, 260), 0.97), (500, 1100, 2400), (100, 150, 250))
        out.append(chance.uniform(0.3, 0.8) * _swell(tone / np.max(np.abs(tone)), 15, 60))
    return np.concatenate(out)


def _note(chance: np.random.Generator, ms: float, f0: float, glide: float) -> Floats:
    """Voice through the nose; a little breath goes with it."""
    length = _samples(ms)
    tone = _murmur(_pulses(length, f0, glide) + 0.1 * chance.standard_normal(length))
    return _swell(tone / max(1e-9, float(np.max(np.abs(tone)))), 30, 60)


def _nose_breath(chance: np.random.Generator, ms: float) -> Floats:
    return 0.12 * _swell(_unit(_murmur(chance.standard_normal(_samples(ms)))), 15, 15)


def _murmur(source: Floats) -> Floats:
    size = len(source) + 1024
    f = np.fft.rfftfreq(size, 1 / RATE_HZ)
    gain = sum((g / (1 + 2j * (f - hz) / width) for hz, width, g in _MURMUR), np.zeros(len(f), np.complex128))
    gap = 1 - 0.9 / (1 + (2 * (f - _MURMUR_GAP_HZ) / _MURMUR_GAP_WIDTH_HZ) ** 2)
    # Flat pulses lack the fall of a voice, 12 dB per octave at the glottis less 6 where sound leaves the nose.
    tilt = 1 / np.sqrt(1 + (f / 500.0) ** 2)
    return np.asarray(np.fft.irfft(np.fft.rfft(source, size) * gain * gap * tilt, size)[: len(source)])


def _pulses(length: int, f0: float, fall: float) -> Floats:
    """Glottal pulses whose pitch glides to `fall` of its start."""
    phase = np.cumsum(np.linspace(f0, f0 * fall, length)) / RATE_HZ
    pulses: Floats = np.zeros(length)
    pulses[np.flatnonzero(np.diff(np.floor(phase), prepend=-1) > 0)] = 10.0
    return pulses


def _resonate(source: Floats, formants_hz: tuple[int, ...], widths_hz: tuple[int, ...]) -> Floats:
    """Second-order resonances, applied in the frequency domain."""
    size = len(source) + 1024
    f = np.fft.rfftfreq(size, 1 / RATE_HZ)
    gain = np.full(len(f), 0.05, dtype=np.complex128)
    for formant, width in zip(formants_hz, widths_hz, strict=True):
        gain += 1 / (1 + 2j * (f - formant) / width)
    return np.asarray(np.fft.irfft(np.fft.rfft(source, size) * gain, size)[: len(source)])


def _swell(x: Floats, attack_ms: float, release_ms: float) -> Floats:
    out = x.copy()
    attack, release = min(_samples(attack_ms), len(x)), min(_samples(release_ms), len(x))
    out[:attack] *= np.linspace(0, 1, attack)
    out[-release:] *= np.linspace(1, 0, release)
    return out


def _band(size: int, low_hz: float, high_hz: float) -> Floats:
    f = np.fft.rfftfreq(size, 1 / RATE_HZ)
    return np.asarray(1 / (1 + (low_hz / np.maximum(f, 1)) ** 4) / (1 + (f / high_hz) ** 4))


def _samples(ms: float) -> int:
    return int(ms * RATE_HZ / 1000)


def _peak(x: Floats) -> Floats:
    return np.asarray(x / max(1e-9, float(np.max(np.abs(x)))))


def _unit(x: Floats) -> Floats:
    return np.asarray(x / max(1e-9, float(np.sqrt(np.mean(np.square(x))))))
