"""What an Opus packet says of itself before it is decoded: how long it is, whether its sender pauses (RFC 6716 §3)."""

from typing import Final

# RFC 6716 §2: no packet is longer than 120 ms, here in samples at 48 kHz.
_MAX_SAMPLES: Final = 5760
_FIRST_HYBRID, _FIRST_CELT = 12, 16
# An Opus packet of one or two bytes is DTX: the sender says that it pauses (RFC 7587 §3.1.3).
_DTX_BYTES: Final = 2


def frame_samples(packet: bytes) -> int:
    """Duration of each frame of the packet in samples at 48 kHz, from the TOC byte (§3.1); 0: there is none."""
    if not packet:
        return 0
    config = packet[0] >> 3
    if config < _FIRST_HYBRID:
        return (480, 960, 1920, 2880)[config & 3]
    if config < _FIRST_CELT:
        return (480, 960)[config & 1]
    return (120, 240, 480, 960)[config & 3]


def packet_samples(packet: bytes) -> int:
    """Duration in samples at 48 kHz, from the TOC byte and the frame count (§3.1, §3.2); 0: not an Opus packet."""
    if not packet:
        return 0
    code = packet[0] & 3
    if code < 3:
        count = 1 if code == 0 else 2
    else:
        count = packet[1] & 0x3F if len(packet) > 1 else 0
    samples = frame_samples(packet) * count
    return samples if samples <= _MAX_SAMPLES else 0


def says_pause(packet: bytes) -> bool:
    """The sender tells that nothing follows for a while; there is no sound in this packet."""
    return len(packet) <= _DTX_BYTES


def is_celt(packet: bytes) -> bool:
    """Coded without SILK (§3.1): it never holds a copy of the one before."""
    return bool(packet) and packet[0] >> 3 >= _FIRST_CELT


def copy_flags(packet: bytes, first_frame: int) -> bool:
    """Whether the frame that begins at byte `first_frame` holds a copy of the frame before it (§4.2.3).

    Before everything else stand, for each channel, one voice activity bit per 20 ms and one bit for the copy (LBRR); at
    even odds the range coder puts them into the first byte as they are.
    """
    if is_celt(packet) or first_frame >= len(packet):
        return False
    parts = max(1, frame_samples(packet) // 960)
    flags = packet[first_frame]
    stereo = bool(packet[0] & 4)
    return bool(flags >> (7 - parts) & 1) or (stereo and bool(flags >> (6 - 2 * parts) & 1))
