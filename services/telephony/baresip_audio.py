"""The hot path to baresip's rings: the binding's C functions called directly, with buffers that are reused.

`CallAudio` of the binding allocates per read and returns dataclasses per probe; at 50 calls and 200 polls a second
that is most of a worker's Python time. The calls used here (`bp_audio_*`) are the same ones it makes.
"""

import errno
from collections.abc import Callable
from typing import Any, Final

from baresip._native import ffi, lib

from services.telephony.baresip_config import codec_name
from services.telephony.engine import AudioFormat, AudioRestartedError
from services.telephony.ledger import RingCounters

_MAX_READ: Final = 48_000 * 2 * 120 // 1000
_SAMPLE: Final = 2


class BaresipAudio:
    """The CallAudio protocol for one call handle. Event loop only: the buffers are shared by all calls."""

    __slots__ = ("_allowed", "_counters", "_epoch", "_handle", "_srtp", "_started")
    _buffer: Any = ffi.new("uint8_t[]", _MAX_READ)
    _view: Any = ffi.buffer(_buffer)
    _info: Any = ffi.new("struct bp_audio_info *")
    _stats: Any = ffi.new("struct bp_audio_stats *")

    def __init__(self, handle: int, allowed: tuple[str, ...], srtp: bool, started: Callable[[], None]) -> None:
        self._handle = handle
        self._allowed = allowed
        self._srtp = srtp
        self._started = started
        self._epoch = -1
        self._counters = RingCounters()

    def open(self) -> AudioFormat | None:
        """Bind to the current streams. None until at least one direction is up."""
        info = self._info
        if lib.bp_audio_probe(self._handle, info) != 0 or not (info.tx_ready or info.rx_ready):
            self._epoch = -1
            return None
        self._epoch = info.epoch
        self._started()
        # A held direction keeps its last rate; one that never was takes the other's.
        tx_hz, rx_hz = info.tx_srate or info.rx_srate, info.rx_srate or info.tx_srate
        return AudioFormat(codec_name(rx_hz, self._allowed), rx_hz, tx_hz, info.tx_ptime or 20, self._srtp)

    def read(self, max_bytes: int) -> bytes:
        """Received PCM; raises AudioRestartedError when the streams were replaced or are gone."""
        n = lib.bp_audio_read(self._handle, self._epoch, self._buffer, min(max_bytes, _MAX_READ))
        if n > 0:
            return bytes(self._view[:n])
        if n < 0:
            self._gone(n)
        return b""

    def write(self, pcm: bytes) -> int:
        """Queue PCM; 0 while sending is held."""
        n = int(lib.bp_audio_write(self._handle, self._epoch, ffi.from_buffer("uint8_t[]", pcm), len(pcm)))
        if n < 0:
            self._gone(n)
        return n

    def flush(self) -> None:
        """Ask the sender's thread to drop the ring at its next packet."""
        n = int(lib.bp_audio_flush_tx(self._handle, self._epoch))
        if n < 0:
            self._gone(n)

    def counters(self) -> RingCounters:
        """One native call for everything the ledger wants."""
        stats = self._stats
        if lib.bp_audio_stats_get(self._handle, stats) != 0 or stats.epoch != self._epoch:
            self._gone(-errno.ESTALE)
        counters = self._counters
        counters.epoch = stats.epoch
        counters.fill = stats.tx_fill // _SAMPLE
        counters.flushed = stats.tx_flushed // _SAMPLE
        counters.silence_frames = stats.tx_silence_frames
        counters.starved_frames = stats.tx_starved_frames
        counters.rx_dropped = stats.rx_dropped + stats.rx_discarded
        return counters

    def _gone(self, code: int) -> None:
        self._epoch = -1
        raise AudioRestartedError(errno.errorcode.get(-code, str(code)))
