"""libopus called directly, at the rates we need: the one place that touches the library itself.

PyAV's codec objects always decode at 48 kHz and build three objects a packet. Measured per 20 ms of voice on one
machine: decoding to 16 kHz 78 µs through PyAV and a decimator, 26 µs here; encoding at 24 kHz 108 µs and 66 µs. The
library is the one that came with PyAV (which aiortc needs), or the system's.
"""

import ctypes
import ctypes.util
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import av

from services.common.errors import TrunklineError
from services.orchestrator.media.opus_packet import copy_flags, is_celt, says_pause

# RFC 6716 §2: no packet is longer than 120 ms, and 1275 bytes hold any frame.
MAX_PACKET_MS: Final = 120
_MAX_FRAME_BYTES: Final = 1275
_MAX_FRAMES: Final = 48
_APPLICATION_VOIP: Final = 2048
_APPLICATION_RESTRICTED_LOWDELAY: Final = 2051
_SET_BITRATE: Final = 4002
_SET_COMPLEXITY: Final = 4010
_SET_INBAND_FEC: Final = 4012
_SET_PACKET_LOSS_PERC: Final = 4014


@lru_cache(maxsize=1)
def _library() -> Any:
    """Raises TrunklineError when there is no libopus."""
    beside = Path(av.__file__).parent
    bundled = [*beside.parent.glob("av.libs/libopus*"), *beside.glob(".dylibs/libopus*")]
    name = str(bundled[0]) if bundled else ctypes.util.find_library("opus")
    if name is None:
        raise TrunklineError("There is no libopus.", remedy="Install PyAV's wheel, or the package libopus0.")
    lib = ctypes.CDLL(name)
    pointer, number, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
    lib.opus_encoder_create.restype = lib.opus_decoder_create.restype = pointer
    lib.opus_encoder_create.argtypes = [ctypes.c_int32, number, number, pointer]
    lib.opus_decoder_create.argtypes = [ctypes.c_int32, number, pointer]
    lib.opus_encoder_ctl.argtypes = [pointer, number, ctypes.c_int32]
    lib.opus_encode.argtypes = [pointer, text, number, pointer, ctypes.c_int32]
    lib.opus_decode.argtypes = [pointer, text, ctypes.c_int32, pointer, number, number]
    frames, sizes = ctypes.POINTER(pointer), ctypes.POINTER(ctypes.c_int16)
    lib.opus_packet_parse.argtypes = [text, ctypes.c_int32, pointer, frames, sizes, ctypes.POINTER(number)]
    lib.opus_encoder_destroy.argtypes = lib.opus_decoder_destroy.argtypes = [pointer]
    return lib


class NativeEncoder:
    """PCM s16le mono → packets, restricted low delay (CELT, 2.5 ms look-ahead).

    With `as_browser` it codes for voice (SILK), as browsers do; with `fec_for_percent` too, as one that expects so much
    loss: each packet with a coarse copy of the one before (RFC 6716 §2.1.7), which restricted low delay has not.
    """

    def __init__(
        self, rate_hz: int, bit_rate: int, complexity: int, fec_for_percent: int = 0, *, as_browser: bool = False
    ) -> None:
        """Raises TrunklineError for a rate that Opus does not have."""
        self._lib = _library()
        error = ctypes.c_int()
        application = _APPLICATION_VOIP if fec_for_percent or as_browser else _APPLICATION_RESTRICTED_LOWDELAY
        self._state = self._lib.opus_encoder_create(rate_hz, 1, application, ctypes.byref(error))
        _check(error.value)
        _check(self._lib.opus_encoder_ctl(self._state, _SET_BITRATE, bit_rate))
        _check(self._lib.opus_encoder_ctl(self._state, _SET_COMPLEXITY, complexity))
        if fec_for_percent:
            _check(self._lib.opus_encoder_ctl(self._state, _SET_INBAND_FEC, 1))
            _check(self._lib.opus_encoder_ctl(self._state, _SET_PACKET_LOSS_PERC, fec_for_percent))
        self._out = ctypes.create_string_buffer(_MAX_FRAME_BYTES)
        self._view = memoryview(self._out)

    def encode(self, pcm: bytes) -> bytes:
        """One packet for 2.5, 5, 10 or 20 ms; for voice also 40 or 60. Raises TrunklineError for another length."""
        size = self._lib.opus_encode(self._state, pcm, len(pcm) // 2, self._out, _MAX_FRAME_BYTES)
        _check(size)
        return bytes(self._view[:size])

    def __del__(self) -> None:
        if state := getattr(self, "_state", None):
            self._lib.opus_encoder_destroy(state)


class NativeDecoder:
    """Packets → PCM s16le mono at `rate_hz`, whatever the packets were made from."""

    def __init__(self, rate_hz: int) -> None:
        """Raises TrunklineError for a rate that Opus does not have."""
        self._lib = _library()
        error = ctypes.c_int()
        self._state = self._lib.opus_decoder_create(rate_hz, 1, ctypes.byref(error))
        _check(error.value)
        self._most = rate_hz * MAX_PACKET_MS // 1000
        self._out = ctypes.create_string_buffer(self._most * 2)
        self._view = memoryview(self._out)

    def decode(self, packet: bytes) -> bytes | None:
        """PCM of one packet; None for one that is no Opus."""
        samples = self._lib.opus_decode(self._state, packet, len(packet), self._out, self._most, 0)
        return bytes(self._view[: 2 * samples]) if samples > 0 else None

    def conceal(self, samples: int, following: bytes | None = None) -> bytes | None:
        """PCM in place of `samples` that were lost, a multiple of 2.5 ms up to 120; goes on from what was decoded last.

        With the packet that came after the hole (and `has_copy`), its copy of the frame before is decoded; `samples` is
        the duration of one of its frames then.
        """
        size = len(following) if following else 0
        made = self._lib.opus_decode(self._state, following or None, size, self._out, samples, 1 if following else 0)
        return bytes(self._view[: 2 * made]) if made > 0 else None

    def __del__(self) -> None:
        if state := getattr(self, "_state", None):
            self._lib.opus_decoder_destroy(state)


def has_copy(packet: bytes) -> bool:
    """Whether the packet holds a coarse copy of the frame before it (in-band FEC, RFC 6716 §2.1.7)."""
    if is_celt(packet) or says_pause(packet):
        return False
    sizes, begins = (ctypes.c_int16 * _MAX_FRAMES)(), ctypes.c_int()
    frames = _library().opus_packet_parse(packet, len(packet), None, None, sizes, ctypes.byref(begins))
    return frames > 0 and sizes[0] > 0 and copy_flags(packet, begins.value)


def _check(code: int) -> None:
    if code < 0:
        raise TrunklineError(f"libopus refused (code {code}).")
