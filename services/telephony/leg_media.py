"""One leg's audio between the engine's rings and the contract's frames.

Received audio is cut into 20 ms frames as soon as they are whole. Audio to play goes straight into the ring, at
most 60 ms of it. A clear asks the engine to drop the ring at its next packet; until that is seen to have happened
new audio is kept back here, because the engine would drop it too.
"""

from dataclasses import dataclass, field
from typing import Final

from services.pb.trunkline.telephony.v1 import telephony_pb2 as pb
from services.telephony.engine import AudioFormat, AudioRestartedError, CallAudio
from services.telephony.ledger import FrameLedger, RingCounters
from services.telephony.metrics import CLEAR_SECONDS, PLAY_REFUSED, RX_DROPPED, TX_STARVED

FRAME_MS: Final = 20
COMMITTED_MS: Final = 60
# A leg with nothing to say is still heard of this often: its playing goes on.
_IDLE_NS: Final = 25_000_000
# Packets come every 20 ms: for half of that after a frame the ring need not be looked at again.
_QUIET_NS: Final = 10_000_000
# The engine's sender drops its ring within one packet; where none is sent (hold) nothing will ever confirm it.
_FLUSH_LIMIT_NS: Final = 80_000_000
# Frames taken per poll: what piled up behind a stalled loop is caught up quickly but not in one go.
_MAX_FRAMES: Final = 6


@dataclass(slots=True)
class LegMedia:
    """Owns the audio of one leg from its first stream to its end."""

    leg_id: int
    audio: CallAudio
    fmt: AudioFormat | None = None
    # Look at the transmit ring at every poll, so that the time a packet left is known to within a poll.
    note_sends: bool = False
    # Most audio ever in the transmit ring.
    committed_ms: int = COMMITTED_MS
    seq: int = 0
    ledger: FrameLedger | None = None
    _frame_bytes: int = 0
    _carry: bytes = b""
    _emitted_ns: int = 0
    _quiet_until_ns: int = 0
    _held_back: list[bytes] = field(default_factory=list)
    _flush_ns: int = 0
    _silence_at_flush: int = 0
    _starved_seen: int = 0
    _dropped_seen: int = 0
    _sent_seen: int = 0
    _sent_ns: int = 0

    def open(self) -> AudioFormat | None:
        """Bind to the call's current streams; None while there are none."""
        fmt = self.audio.open()
        if fmt is None:
            return None
        try:
            ring = self.audio.counters()
        except AudioRestartedError:
            return None
        packet = fmt.tx_rate_hz * fmt.ptime_ms // 1000
        if self.ledger is None:
            self.ledger = FrameLedger(fmt.tx_rate_hz, packet)
        self.ledger.rebase(ring, fmt.tx_rate_hz, packet)
        self.fmt = fmt
        self._frame_bytes = fmt.rx_rate_hz * FRAME_MS // 1000 * 2
        self._carry = b""
        self._dropped_seen = ring.rx_dropped
        self._starved_seen = self.ledger.starved
        return fmt

    @property
    def is_open(self) -> bool:
        """Streams are bound; False from a re-INVITE until open() found the new ones."""
        return self.fmt is not None

    @property
    def frame_bytes_tx(self) -> int:
        """Bytes of 20 ms to play."""
        return self.fmt.tx_rate_hz * FRAME_MS // 1000 * 2 if self.fmt else 0

    def poll(self, now_ns: int, response: pb.MediaResponse) -> int:
        """Add what came in and how playing stands to `response`; returns the frames of audio added.

        Raises AudioRestartedError when the streams were replaced: open() again.
        """
        if self.note_sends:
            self._note_sent(now_ns)
        if now_ns < self._quiet_until_ns and not self._flush_ns:
            return 0
        frames: list[bytes] = []
        while len(frames) < _MAX_FRAMES and (pcm := self._read_frame()):
            frames.append(pcm)
        idle = now_ns - self._emitted_ns >= _IDLE_NS
        if not (frames or idle or self._flush_ns) or self.ledger is None:
            return 0
        ring = self.audio.counters()
        self.ledger.observe(ring)
        if ring.rx_dropped > self._dropped_seen:
            RX_DROPPED.inc((ring.rx_dropped - self._dropped_seen) / self._frame_bytes * FRAME_MS)
            self._dropped_seen = ring.rx_dropped
        if self._flush_ns:
            self._check_flush(ring, now_ns, response)
        if frames or idle:
            self._emitted_ns = now_ns
            self._quiet_until_ns = now_ns + _QUIET_NS if frames else 0
            self._emit(response, frames or [b""])
        return len(frames)

    def drain(self) -> None:
        """Throw received audio away while no client listens."""
        while self._read_frame():
            pass

    def play(self, pcm: bytes) -> str:
        """Queue audio; returns "" or why some of it was refused (whole frames, the newest ones)."""
        if self.fmt is None or self.ledger is None:
            return "no audio is active on this leg"
        frame = self.frame_bytes_tx
        if not pcm or len(pcm) % frame:
            return f"pcm: expected frames of {frame} bytes (20 ms at {self.fmt.tx_rate_hz} Hz), got {len(pcm)} bytes"
        self.ledger.observe(self.audio.counters())
        held = sum(map(len, self._held_back))
        # While a clear is under way the ring counts as empty: what is in it is already given up.
        room = (
            frame * (self.committed_ms // FRAME_MS) - held
            if self._flush_ns
            else self.ledger.room(self.committed_ms) * 2
        )
        taken = pcm[: max(0, room) // frame * frame]
        if self._flush_ns:
            self._held_back.append(taken)
        elif taken and not self._write(taken):
            return "sending is held"
        if len(taken) == len(pcm):
            return ""
        refused_ms = (len(pcm) - len(taken)) // frame * FRAME_MS
        PLAY_REFUSED.inc(refused_ms)
        return f"{self.committed_ms} ms are queued already, {refused_ms} ms were refused"

    def _write(self, pcm: bytes) -> int:
        """Bytes the ring took; 0 while the call does not send."""
        assert self.ledger is not None
        written = self.audio.write(pcm)
        if written:
            self.ledger.wrote(written // 2)
            if grown := self.ledger.starved - self._starved_seen:
                self._starved_seen += grown
                TX_STARVED.inc(max(0, grown) * 1000 / self.ledger.rate_hz)
        return written

    def clear(self, now_ns: int) -> pb.Cleared | None:
        """Drop what is queued. The answer at once when nothing is, else through poll() when it has happened."""
        if self.ledger is None:
            return pb.Cleared()
        self._held_back.clear()
        self.ledger.cleared()
        if self._flush_ns:
            return None
        try:
            ring = self.audio.counters()
            self.ledger.observe(ring)
            if not ring.fill:
                return self._cleared()
            self._silence_at_flush = ring.silence_frames
            self.audio.flush()
        except AudioRestartedError:
            return self._cleared()
        self._flush_ns = now_ns
        return None

    # ---- inner parts ----

    def _read_frame(self) -> bytes:
        """The next whole 20 ms, or b""; packets of another ptime are joined and cut."""
        size = self._frame_bytes
        pcm = self.audio.read(size)
        if len(pcm) == size and not self._carry:
            return pcm
        if pcm:
            self._carry += pcm
        if len(self._carry) < size:
            return b""
        frame, self._carry = self._carry[:size], self._carry[size:]
        return frame

    def _emit(self, response: pb.MediaResponse, frames: list[bytes]) -> None:
        ledger = self.ledger
        assert ledger is not None
        sent, starved = ledger.sent, ledger.starved
        queued = ledger.queued + sum(map(len, self._held_back)) // 2
        for pcm in frames:
            self.seq += 1
            response.frames.add(
                leg_id=self.leg_id,
                seq=self.seq,
                pcm=pcm,
                tx_samples_sent=sent,
                tx_samples_queued=queued,
                tx_samples_starved=starved,
                tx_sent_ns=self._sent_ns,
            )

    def _note_sent(self, now_ns: int) -> None:
        ledger = self.ledger
        if ledger is None or not ledger.queued:
            return
        ledger.observe(self.audio.counters())
        if ledger.sent != self._sent_seen:
            self._sent_seen, self._sent_ns = ledger.sent, now_ns

    def _check_flush(self, ring: RingCounters, now_ns: int, response: pb.MediaResponse) -> None:
        """The sender's thread flushes, then finds nothing to send and counts a frame of silence: that is the proof."""
        waited_ns = now_ns - self._flush_ns
        if ring.silence_frames == self._silence_at_flush and waited_ns <= _FLUSH_LIMIT_NS:
            return
        self._flush_ns = 0
        CLEAR_SECONDS.observe(waited_ns / 1e9)
        response.events.add(leg_id=self.leg_id, monotonic_ns=now_ns, cleared=self._cleared())
        held, self._held_back = self._held_back, []
        for pcm in held:
            self._write(pcm)

    def _cleared(self) -> pb.Cleared:
        assert self.ledger is not None
        return pb.Cleared(tx_samples_sent=self.ledger.sent, tx_samples_flushed=self.ledger.flushed)

    def restarted(self) -> pb.Cleared | None:
        """The streams are gone. A clear that was under way is done by that: nothing old can be sent any more."""
        self.fmt = None
        self._held_back.clear()
        if not self._flush_ns:
            return None
        self._flush_ns = 0
        assert self.ledger is not None
        return self._cleared()
