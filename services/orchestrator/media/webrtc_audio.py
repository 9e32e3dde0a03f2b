"""Opus for one browser leg, each way, without threads: 24 kHz PCM to packets, packets to 16 kHz PCM.

aiortc's own codecs run stereo at 48 kHz in worker threads; a telephone voice needs neither, and the two thread
hops per packet cost more than the coding. Rates are chosen for what stands behind them: speech recognition
hears 16 kHz, and no voice of ours is made above 24 kHz (a fullband browser hears no difference).
"""

from services.orchestrator.media.leg import FRAME_MS
from services.orchestrator.media.opus import NativeDecoder, NativeEncoder

RTP_RATE_HZ = 48_000
RX_RATE_HZ = 16_000
TX_RATE_HZ = 24_000
RTP_SAMPLES_PER_FRAME = RTP_RATE_HZ * FRAME_MS // 1000
_DECIMATION = RTP_RATE_HZ // RX_RATE_HZ
# Opus settles on the same packet for digital silence; after so many the sender may fall silent.
SETTLED_FRAMES = 10
# A hole is bridged for so long (48 kHz samples, 100 ms); what was said in a longer one cannot be guessed.
_MAX_CONCEALED = 4800
# A packet this short says that nothing is sent: it holds no copy of the one before.
_NOTHING_SENT_BYTES = 2


class OpusEncoder:
    """20 ms of PCM s16le mono at `rate_hz` → one Opus packet (RFC 6716), restricted low delay (2.5 ms look-ahead)."""

    def __init__(
        self, rate_hz: int = TX_RATE_HZ, bit_rate: int = 40_000, complexity: int = 5, fec_for_percent: int = 0
    ) -> None:
        self._silence = bytes(rate_hz * FRAME_MS // 1000 * 2)
        self._silent_packets = 0
        self._silent_packet = b""
        self._codec = NativeEncoder(rate_hz, bit_rate, complexity, fec_for_percent)

    @property
    def settled(self) -> bool:
        """The listener has heard enough silence: from here on nothing need be sent."""
        return self._silent_packets >= SETTLED_FRAMES

    def encode(self, frame: bytes | None) -> bytes:
        """The packet for `frame`; None is silence: a while encoded, then a packet that says "nothing is sent".

        That packet is its first byte alone: an Opus frame of length zero is one of discontinuous transmission
        (RFC 6716 §3.2.1, RFC 7587 §3.1.3), which a browser's jitter buffer understands as a pause and not as loss.
        """
        if frame is not None:
            self._silent_packets = 0
            return self._codec.encode(frame)
        if self._silent_packets < SETTLED_FRAMES:
            self._silent_packets += 1
            self._silent_packet = self._codec.encode(self._silence)
            return self._silent_packet
        # Code 0: one frame, whose length is what follows.
        return bytes((self._silent_packet[0] & 0xFC,))


class OpusDecoder:
    """Opus packets → PCM s16le mono at 16 kHz; a packet that is no Opus becomes silence and is counted."""

    def __init__(self) -> None:
        self.errors = 0
        self._codec = NativeDecoder(RX_RATE_HZ)

    def decode(self, payload: bytes) -> bytes:
        """PCM of one packet (2.5 to 120 ms)."""
        pcm = self._codec.decode(payload) if payload else None
        if pcm is None:
            self.errors += 1
            return self.silence(packet_samples(payload) or RTP_SAMPLES_PER_FRAME)
        return pcm

    def conceal(self, rtp_samples: int, lost_packets: int, following: bytes) -> bytes:
        """PCM for a hole of `rtp_samples` (48 kHz) in which `lost_packets` of 20 ms were; `following` came after it.

        The last lost packet comes from the copy in `following` where the sender makes one, those before from the
        decoder's own concealment, which fades (RFC 6716 §4.4). The rest of the hole was a pause, and stays silent.
        """
        lost = min(rtp_samples, lost_packets * RTP_SAMPLES_PER_FRAME, _MAX_CONCEALED)
        frames = lost // RTP_SAMPLES_PER_FRAME
        out = b""
        for number in range(frames):
            copy = following if number == frames - 1 and len(following) > _NOTHING_SENT_BYTES else None
            size = RTP_SAMPLES_PER_FRAME // _DECIMATION
            out += self._codec.conceal(size, copy) or bytes(2 * size)
        return out + self.silence(rtp_samples - frames * RTP_SAMPLES_PER_FRAME)

    def silence(self, rtp_samples: int) -> bytes:
        """PCM that stands for `rtp_samples` (at 48 kHz) that never came."""
        return bytes(2 * (rtp_samples // _DECIMATION))


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
