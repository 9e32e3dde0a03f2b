"""Whisper's log-mel spectrogram of 8 s at 16 kHz, in numpy: what smart-turn v3 was trained on.

Audio is normalised to mean 0 and variance 1 over the whole padded window, cut into 400-sample Hann windows every
160 samples (reflected at the ends), brought to 80 mel bands (Slaney's scale, area-normalised), log10, limited to 8
decades below the loudest, scaled by (x + 4) / 4. Radford et al. 2022 (arXiv 2212.04356), §2.2.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

RATE_HZ = 16_000
WINDOW_SAMPLES = 8 * RATE_HZ
FFT_SAMPLES = 400
HOP_SAMPLES = 160
BANDS = 80
FRAMES = WINDOW_SAMPLES // HOP_SAMPLES


def log_mel(audio: Floats) -> Floats:
    """Features [80, 800] of up to 8 s of mono audio in −1…1; shorter audio gets silence in front, longer loses it."""
    window = np.zeros(WINDOW_SAMPLES, dtype=np.float32)
    tail = audio[-WINDOW_SAMPLES:]
    if tail.size:
        window[-tail.size :] = tail
    window = (window - window.mean()) / np.sqrt(window.var() + np.float32(1e-7))
    # Frames that lie in the silence in front are all alike, so one of them is computed for all: most turns are far
    # shorter than 8 s, and the caller is waiting.
    silent = WINDOW_SAMPLES - tail.size
    alike = min(max(0, (silent - FFT_SAMPLES // 2) // HOP_SAMPLES), FRAMES - 1)
    decades = np.log10(np.maximum(_power(window, alike) @ _MEL_BANK, 1e-10))
    scaled = (np.maximum(decades, decades.max() - 8.0) + 4.0) / 4.0
    features = np.empty((BANDS, FRAMES), dtype=np.float32)
    features[:, alike:] = scaled.T
    features[:, :alike] = features[:, alike : alike + 1]
    return features


def _power(audio: Floats, first: int) -> NDArray[np.float64]:
    """Power spectrum [800 − first, 201] from frame `first` on. The 801st, centred frame is not part of the features."""
    half = FFT_SAMPLES // 2
    padded = np.concatenate([audio[half:0:-1], audio, audio[-2 : -half - 2 : -1]]).astype(np.float64)
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT_SAMPLES)[::HOP_SAMPLES][first:FRAMES]
    spectrum = np.fft.rfft(frames * _HANN, axis=-1)
    power: NDArray[np.float64] = spectrum.real**2 + spectrum.imag**2
    return power


def _mel_bank() -> NDArray[np.float64]:
    """Triangles [80, 201] between points equally far apart on Slaney's mel scale, each of unit area in Hz."""
    edges_hz = _hz(np.linspace(0.0, _mel(RATE_HZ / 2), BANDS + 2))
    bins_hz = np.linspace(0.0, RATE_HZ / 2, FFT_SAMPLES // 2 + 1)
    low, centre, high = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    rising = (bins_hz - low) / (centre - low)
    falling = (high - bins_hz) / (high - centre)
    bank: NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling)) * (2.0 / (high - low))
    return bank


# Slaney's scale (Auditory Toolbox, 1998): linear with 200/3 Hz a mel up to 1 kHz, above it a factor of 6.4 in 27 mels.
_LINEAR_HZ, _KNEE_HZ = 200.0 / 3.0, 1000.0
_KNEE_MEL, _LOG_STEP = _KNEE_HZ / _LINEAR_HZ, np.log(6.4) / 27.0


def _mel(hz: float) -> float:
    if hz < _KNEE_HZ:
        return hz / _LINEAR_HZ
    return float(_KNEE_MEL + np.log(hz / _KNEE_HZ) / _LOG_STEP)


def _hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    above = _KNEE_HZ * np.exp(_LOG_STEP * (mel - _KNEE_MEL))
    return np.where(mel < _KNEE_MEL, mel * _LINEAR_HZ, above)


_HANN = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(FFT_SAMPLES) / FFT_SAMPLES)
_MEL_BANK = np.ascontiguousarray(_mel_bank().T)
