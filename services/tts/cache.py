"""The phrase cache: what was said before is said again at once.

Least recently used goes first when the bound in bytes is passed. The key is a salted hash of text, voice, model
version, rate and pace: the words themselves are not kept. A phrase asked for twice at once is made once.
"""

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from services.tts.take import Plan, Rendering, Runner, Take


@dataclass(frozen=True, slots=True)
class PhraseKey:
    """What makes two phrases sound the same."""

    text: str
    voice: str
    model_version: str
    sample_rate_hz: int
    speaking_rate: float
    # What is said for the text: a listener's lexicon may change it.
    spoken: tuple[str, ...]


class PhraseCache:
    """Takes by phrase. One event loop; nothing here blocks."""

    def __init__(self, max_bytes: int, runner: Runner) -> None:
        self._max_bytes = max_bytes
        self._runner = runner
        self._salt = secrets.token_bytes(16)
        self._kept: OrderedDict[bytes, Take] = OrderedDict()
        self._making: dict[bytes, Take] = {}
        self._bytes = 0

    @property
    def size(self) -> int:
        """Bytes of audio kept."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._kept)

    def take(self, key: PhraseKey, make: Callable[[], Rendering]) -> tuple[Take, bool]:
        """The take of a phrase, with the caller as listener, and whether it was complete already.

        With a bound of 0 bytes nothing is kept and nothing is shared.
        """
        if self._max_bytes == 0:
            take = Take(make(), self._runner, lambda _: None)
            take.listen()
            return take, False
        digest = self._digest(key)
        if (kept := self._kept.get(digest)) is not None:
            self._kept.move_to_end(digest)
            kept.listen()
            return kept, True
        making = self._making.get(digest)
        if making is None:
            making = Take(make(), self._runner, lambda finished: self._settle(digest, finished))
            self._making[digest] = making
        making.listen()
        return making, False

    def keep(self, key: PhraseKey, plan: Plan, pcm: bytes) -> None:
        """Put a phrase in that was made in advance."""
        self._keep(self._digest(key), Take.made(plan, pcm, self._runner))

    def _digest(self, key: PhraseKey) -> bytes:
        rate = f"{key.speaking_rate:.3f}"
        parts = (key.voice, key.model_version, str(key.sample_rate_hz), rate, key.text, *key.spoken)
        return hashlib.blake2b("\0".join(parts).encode(), key=self._salt, digest_size=16).digest()

    def _settle(self, digest: bytes, take: Take) -> None:
        """A take is complete, failed or given up."""
        if self._making.get(digest) is take:
            del self._making[digest]
        if take.complete:
            self._keep(digest, take)

    def _keep(self, digest: bytes, take: Take) -> None:
        if take.size > self._max_bytes or digest in self._kept:
            return
        self._kept[digest] = take
        self._bytes += take.size
        while self._bytes > self._max_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.size
