"""What the orchestrator's front end makes of an item's audio: 32 ms frames with levels and times, as in a call. Pure.

The audio arrives in 20 ms packets, each at the time its last sample was spoken; a leg's own delay is not part of the
set. Item time 0 is `BASE_NS`.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from services.cli.caller import Pcm
from services.cli.turnset.render import Rendered, Truth
from services.orchestrator.media.audio import MODEL_RATE_HZ, AudioIn

BASE_NS = 10_000_000_000
PACKET_MS = 20
PACKET_NS = PACKET_MS * 1_000_000
PACKET_SAMPLES = MODEL_RATE_HZ * PACKET_MS // 1000


@dataclass(frozen=True, slots=True)
class Frame:
    """One VAD frame: when it was complete here, when its audio ended, its levels."""

    received_ns: int
    end_ns: int
    levels_db: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Hearing:
    """`sha` names the audio; `delay_ns` is what the resampler holds back; `packets` how many arrive."""

    sha: str
    frames: tuple[Frame, ...]
    delay_ns: int
    packets: int
    truth: Truth
    rendered: Rendered

    def position(self, now_ns: int) -> int:
        """Samples at 16 kHz that have arrived by now."""
        return PACKET_SAMPLES * max(0, min(self.packets, (now_ns - BASE_NS) // PACKET_NS))

    def position_at(self, heard_ns: int, now_ns: int, keep: int) -> int:
        """The position of what was spoken at `heard_ns`, within the last `keep` samples (AudioIn.position_at)."""
        position = self.position(now_ns)
        end_ns = BASE_NS + position // PACKET_SAMPLES * PACKET_NS - self.delay_ns
        back = (end_ns - heard_ns) * MODEL_RATE_HZ // 1_000_000_000
        return max(position - keep, min(position, position - back), 0)

    def wide(self) -> Pcm:
        """All of it at 16 kHz, exactly as the models get it."""
        return _hear(self.rendered)[1]

    def frame_pcm(self) -> list[bytes]:
        """The frames for the VAD."""
        return _hear(self.rendered)[2]


def hear(rendered: Rendered) -> Hearing:
    """Run the audio through the call's front end."""
    frames, wide, _ = _hear(rendered)
    packet = rendered.rate_hz * PACKET_MS // 1000
    audio = AudioIn(rendered.rate_hz)
    audio.push(rendered.pcm[:packet].tobytes(), BASE_NS + PACKET_NS)
    delay_ns = BASE_NS + PACKET_NS - audio.time_of(audio.position)
    sha = hashlib.sha256(rendered.rate_hz.to_bytes(4, "big") + rendered.pcm.tobytes()).hexdigest()[:32]
    return Hearing(sha, tuple(frames), delay_ns, len(wide) // PACKET_SAMPLES, rendered.truth, rendered)


def _hear(rendered: Rendered) -> tuple[list[Frame], Pcm, list[bytes]]:
    packet = rendered.rate_hz * PACKET_MS // 1000
    audio = AudioIn(rendered.rate_hz)
    frames: list[Frame] = []
    pcm: list[bytes] = []
    wide: list[bytes] = []
    for index, at in enumerate(range(0, len(rendered.pcm) - packet + 1, packet), 1):
        before = audio.position
        received_ns = BASE_NS + index * PACKET_NS
        for frame in audio.push(rendered.pcm[at : at + packet].astype("<i2").tobytes(), received_ns):
            frames.append(Frame(received_ns, frame.end_ns, frame.levels_db))
            pcm.append(frame.pcm)
        wide.append(audio.since(before))
    return frames, np.frombuffer(b"".join(wide), dtype="<i2").astype(np.int16), pcm
