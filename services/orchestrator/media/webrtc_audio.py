"""Opus for one browser leg, each way, without threads: 24 kHz PCM to packets, packets to 16 kHz PCM.

aiortc's own codecs run stereo at 48 kHz in worker threads; a telephone voice needs neither, and the two thread
hops per packet cost more than the coding. Rates are chosen for what stands behind them: speech recognition
hears 16 kHz, and no voice of ours is made above 24 kHz (a fullband browser hears no difference).
"""

import contextlib
import fractions

import av
import numpy as np
import numpy.typing as npt
from av import AudioFrame, CodecContext
from av.packet import Packet

from services.orchestrator.media.leg import FRAME_MS

RTP_RATE_HZ = 48_000
RX_RATE_HZ = 16_000
TX_RATE_HZ = 24_000
RTP_SAMPLES_PER_FRAME = RTP_RATE_HZ * FRAME_MS // 1000
_DECIMATION = RTP_RATE_HZ // RX_RATE_HZ
_TX_SAMPLES = TX_RATE_HZ * FRAME_MS // 1000
# Opus settles on the same packet for digital silence; after so many it is sent again without encoding.
_SETTLED_FRAMES = 10


class OpusEncoder:
    """20 ms of PCM s16le mono at `rate_hz` → one Opus packet (RFC 6716), restricted low delay (2.5 ms look-ahead)."""

    def __init__(self, rate_hz: int = TX_RATE_HZ, bit_rate: int = 40_000, complexity: int = 5) -> None:
        self._samples = rate_hz * FRAME_MS // 1000
        self._silence = bytes(self._samples * 2)
        self._rate_hz = rate_hz
        self._silent_packets = 0
        self._silent_packet = b""
        self._codec = CodecContext.create("libopus", "w")
        self._codec.bit_rate = bit_rate
        self._codec.format = "s16"
        self._codec.layout = "mono"
        self._codec.sample_rate = rate_hz
        self._codec.time_base = fractions.Fraction(1, rate_hz)
        self._codec.options = {
            "application": "lowdelay",
            "frame_duration": str(FRAME_MS),
            "compression_level": str(complexity),
        }
        self._pts = 0

    def encode(self, frame: bytes | None) -> bytes:
        """The packet for `frame`; None is silence."""
        if frame is not None:
            self._silent_packets = 0
            return self._encode(frame)
        if self._silent_packets < _SETTLED_FRAMES:
            self._silent_packets += 1
            self._silent_packet = self._encode(self._silence)
        return self._silent_packet

    def _encode(self, pcm: bytes) -> bytes:
        frame = AudioFrame(format="s16", layout="mono", samples=self._samples)
        frame.planes[0].update(pcm)
        frame.sample_rate = self._rate_hz
        frame.time_base = fractions.Fraction(1, self._rate_hz)
        frame.pts = self._pts
        self._pts += self._samples
        return b"".join(bytes(packet) for packet in self._codec.encode(frame))


class OpusDecoder:
    """Opus packets → PCM s16le mono at 16 kHz; a packet that is no Opus becomes silence and is counted."""

    def __init__(self) -> None:
        self.errors = 0
        self._codec = CodecContext.create("libopus", "r")
        self._codec.format = "s16"
        self._codec.layout = "mono"
        self._codec.sample_rate = RTP_RATE_HZ
        self._decimate = Decimator()

    def decode(self, payload: bytes) -> bytes:
        """PCM of one packet (2.5 to 120 ms)."""
        frames: list[AudioFrame] = []
        with contextlib.suppress(av.FFmpegError):
            frames = [f for f in self._codec.decode(Packet(payload)) if isinstance(f, AudioFrame)]
        if not frames:
            self.errors += 1
            return self.silence(packet_samples(payload) or RTP_SAMPLES_PER_FRAME)
        return b"".join(
            self._decimate(np.frombuffer(bytes(frame.planes[0]), dtype="<i2", count=frame.samples)) for frame in frames
        )

    def silence(self, rtp_samples: int) -> bytes:
        """PCM that stands for `rtp_samples` (at 48 kHz) that never came."""
        return self._decimate(np.zeros(rtp_samples, dtype=np.int16))


class Decimator:
    """48 → 16 kHz by a linear-phase FIR (Blackman-windowed sinc, 7.2 kHz): 0.5 ms of delay; keeps its state.

    Every length of Opus audio is a multiple of three samples, so the phase never shifts; a remainder is dropped.
    """

    _TAPS = 48

    def __init__(self) -> None:
        n = np.arange(self._TAPS) - (self._TAPS - 1) / 2
        kernel = np.sinc(2 * 7_200 / RTP_RATE_HZ * n) * np.blackman(self._TAPS)
        self._kernel = (kernel / kernel.sum()).astype(np.float32)
        # The last input samples of the block before, then the block.
        self._line: npt.NDArray[np.float32] = np.zeros(self._TAPS - 1 + RTP_SAMPLES_PER_FRAME, dtype=np.float32)
        # One row per output sample; made once, it looks into the line.
        self._rows = np.lib.stride_tricks.sliding_window_view(self._line, self._TAPS)[::_DECIMATION]

    def __call__(self, samples: npt.NDArray[np.int16]) -> bytes:
        """PCM s16le at 16 kHz, a third as many samples."""
        blocks = range(0, len(samples), RTP_SAMPLES_PER_FRAME)
        return b"".join(self._block(samples[at : at + RTP_SAMPLES_PER_FRAME]) for at in blocks)

    def _block(self, samples: npt.NDArray[np.int16]) -> bytes:
        count = len(samples) // _DECIMATION
        end = self._TAPS - 1 + count * _DECIMATION
        self._line[self._TAPS - 1 : end] = samples[: count * _DECIMATION]
        # Not by BLAS: a product this small is not worth its threads.
        filtered = np.einsum("ij,j->i", self._rows[:count], self._kernel)
        self._line[: self._TAPS - 1] = self._line[end - self._TAPS + 1 : end].copy()
        np.rint(filtered, out=filtered)
        np.maximum(filtered, -32768.0, out=filtered)
        np.minimum(filtered, 32767.0, out=filtered)
        pcm: npt.NDArray[np.int16] = filtered.astype("<i2")
        return pcm.tobytes()


def packet_samples(payload: bytes) -> int:
    """Duration in samples at 48 kHz, from the TOC byte (RFC 6716 §3.1, §3.2); 0: not an Opus packet."""
    if not payload:
        return 0
    config, code = payload[0] >> 3, payload[0] & 3
    if config < 12:
        frame = (480, 960, 1920, 2880)[config & 3]
    elif config < 16:
        frame = (480, 960)[config & 1]
    else:
        frame = (120, 240, 480, 960)[config & 3]
    if code < 3:
        count = 1 if code == 0 else 2
    else:
        count = payload[1] & 0x3F if len(payload) > 1 else 0
    samples = frame * count
    return samples if samples <= 5760 else 0
