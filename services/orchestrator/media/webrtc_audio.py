"""Opus for one browser leg, each way, without threads: 24 kHz PCM to packets, packets to 16 kHz PCM.

aiortc's own codecs run stereo at 48 kHz in worker threads; a telephone voice needs neither, and the two thread
hops per packet cost more than the coding. Rates are chosen for what stands behind them: speech recognition
hears 16 kHz, and no voice of ours is made above 24 kHz (a fullband browser hears no difference).
"""

from services.orchestrator.media.leg import FRAME_MS
from services.orchestrator.media.opus import NativeDecoder, NativeEncoder, has_copy
from services.orchestrator.media.opus_packet import frame_samples, packet_samples, says_pause

RTP_RATE_HZ = 48_000
RX_RATE_HZ = 16_000
TX_RATE_HZ = 24_000
RTP_SAMPLES_PER_FRAME = RTP_RATE_HZ * FRAME_MS // 1000
_DECIMATION = RTP_RATE_HZ // RX_RATE_HZ
# Opus settles on the same packet for digital silence; after so many the sender may fall silent.
SETTLED_FRAMES = 10
# A hole is bridged for so long (48 kHz samples, 100 ms); what was said in a longer one cannot be guessed.
_MAX_CONCEALED = 4800
# libopus conceals in steps of 2.5 ms.
_STEP = 120


class OpusEncoder:
    """20 ms of PCM s16le mono at `rate_hz` → one Opus packet (RFC 6716); see `NativeEncoder`."""

    def __init__(
        self,
        rate_hz: int = TX_RATE_HZ,
        bit_rate: int = 40_000,
        complexity: int = 5,
        fec_for_percent: int = 0,
        *,
        as_browser: bool = False,
    ) -> None:
        self._silence = bytes(rate_hz * FRAME_MS // 1000 * 2)
        self._silent_packets = 0
        self._silent_packet = b""
        self._counts_copies = fec_for_percent > 0
        # Packets so far that hold a copy of the one before; counted only where copies were asked for.
        self.copies = 0
        self._codec = NativeEncoder(rate_hz, bit_rate, complexity, fec_for_percent, as_browser=as_browser)

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
            packet = self._codec.encode(frame)
            self.copies += self._counts_copies and has_copy(packet)
            return packet
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
        # Of the packet that was decoded last: its duration, and what may still be made up after it (48 kHz).
        self._samples = 0
        self._may_conceal = 0

    def decode(self, payload: bytes) -> bytes:
        """PCM of one packet (2.5 to 120 ms)."""
        pcm = self._codec.decode(payload) if payload else None
        self._samples = packet_samples(payload) or self._samples
        # After a packet that says "pause" there is nothing to go on from.
        self._may_conceal = 0 if says_pause(payload) else _MAX_CONCEALED
        if pcm is None:
            self.errors += 1
            return self.silence(packet_samples(payload) or RTP_SAMPLES_PER_FRAME)
        return pcm

    def conceal(self, rtp_samples: int, lost_packets: int, following: bytes) -> bytes:
        """PCM for a hole of `rtp_samples` (48 kHz) in which `lost_packets` were; `following` came after it.

            what was heard before │ concealment, ≤ 100 ms │ silence │ copy, one frame │ following

        A lost packet is taken to be as long as the one before the hole. The frame right before `following` comes from
        the copy in it, where the sender makes one; the lost time before that from the decoder's own concealment, which
        fades (RFC 6716 §4.4). What is longer than the lost packets was a pause of the sender (its time went on, its
        numbers did not), and stays silent, as does everything after a packet that announced one.
        """
        lost = min(rtp_samples, lost_packets * (self._samples or packet_samples(following) or RTP_SAMPLES_PER_FRAME))
        copied = min(lost, frame_samples(following)) // _DECIMATION if has_copy(following) else 0
        # In the order of time: the decoder goes on from one to the next.
        head = self.missing(lost - copied * _DECIMATION)
        copy = self._copy(following, copied) if copied else b""
        return head + bytes(2 * (rtp_samples // _DECIMATION) - len(head) - len(copy)) + copy

    def missing(self, rtp_samples: int) -> bytes:
        """PCM for `rtp_samples` that are not there and nobody knows why: concealed for 100 ms, then silent.

        May be asked again before the next packet: the 100 ms are counted from the last one.
        """
        steps = min(rtp_samples, self._may_conceal) // _STEP
        self._may_conceal -= steps * _STEP
        made = (self._codec.conceal(steps * _STEP // _DECIMATION) or b"") if steps else b""
        return made + self.silence(rtp_samples - len(made) // 2 * _DECIMATION)

    def silence(self, rtp_samples: int) -> bytes:
        """PCM that stands for `rtp_samples` (at 48 kHz) that never came."""
        return bytes(2 * (rtp_samples // _DECIMATION))

    def _copy(self, following: bytes, samples: int) -> bytes:
        """The last `samples` (16 kHz) of the frame that `following` holds a copy of."""
        pcm = self._codec.conceal(frame_samples(following) // _DECIMATION, following)
        return pcm[-2 * samples :] if pcm else bytes(2 * samples)
