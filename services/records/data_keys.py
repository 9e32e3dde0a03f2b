"""One key per call for what is sealed of it, wrapped by the site's key: erasing the wrapped key erases the data. Pure.

AES-256-GCM twice (NIST SP 800-38D): a random 96-bit nonce before each ciphertext, the place it belongs to as associated
data, so that a sealed value moved to another row does not open. A call seals far fewer than 2^32 values under its key.
"""

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.common.errors import SettingsError

KEY_BYTES = 32
_NONCE_BYTES = 12
_WRAPPING = b"trunkline call data key v1"


@dataclass(frozen=True, slots=True)
class DataKey:
    """The key of one call. Opens and seals JSON."""

    _key: bytes = field(repr=False)

    def secret(self) -> bytes:
        """The key itself, to be wrapped anew and for nothing else."""
        return self._key

    def seal(self, value: Mapping[str, Any], place: str) -> dict[str, str]:
        """{"sealed": base64}; `place` names the row and column."""
        nonce = os.urandom(_NONCE_BYTES)
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        return {"sealed": base64.b64encode(nonce + AESGCM(self._key).encrypt(nonce, text, place.encode())).decode()}

    def open(self, sealed: Mapping[str, Any], place: str) -> dict[str, Any]:
        """The opposite. Raises SettingsError when it was sealed under another key, or for another place."""
        raw = base64.b64decode(str(sealed.get("sealed", "")))
        try:
            text = AESGCM(self._key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], place.encode())
        except (InvalidTag, ValueError):
            raise SettingsError(f"{place} does not open with the key of its call.", remedy=_SAME) from None
        opened: dict[str, Any] = json.loads(text)
        return opened


class KeyRing:
    """The site's keys: make and unwrap keys of calls, key hashes of acts. All workers of a database share them.

    One of them seals, all of them open. The first keys the hashes for as long as it is there: an act must have the same
    hash before and after a rotation, or it could be done twice.
    """

    def __init__(self, key: bytes, *later: bytes, seals: int = -1) -> None:
        """32 bytes each, oldest first. `seals`: which of them."""
        keys = (key, *later)
        self._opens = [AESGCM(one) for one in keys]
        self._seals = self._opens[seals]
        # Hashes of acts are over few possible values; without this key nobody can try them all.
        self.hash_key = hmac.new(key, b"trunkline act hashes v1", hashlib.sha256).digest()

    def new(self, call_id: str) -> tuple[DataKey, bytes]:
        """A key, and what to store of it."""
        key = AESGCM.generate_key(256)
        return DataKey(key), self._wrap(call_id, key)

    def unwrap(self, call_id: str, wrapped: bytes) -> DataKey:
        """Raises SettingsError when it was wrapped by another site's key."""
        for one in reversed(self._opens):
            key = _opened(one, call_id, wrapped)
            if key is not None:
                return DataKey(key)
        raise SettingsError("The data key of a call does not open.", remedy=_SAME)

    def rewrapped(self, call_id: str, wrapped: bytes) -> bytes | None:
        """The same key under the one that seals now; None when it is already. Raises SettingsError as `unwrap` does."""
        if _opened(self._seals, call_id, wrapped) is not None:
            return None
        return self._wrap(call_id, self.unwrap(call_id, wrapped).secret())

    def _wrap(self, call_id: str, key: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._seals.encrypt(nonce, key, _WRAPPING + call_id.encode())


def _opened(key: AESGCM, call_id: str, wrapped: bytes) -> bytes | None:
    try:
        return key.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], _WRAPPING + call_id.encode())
    except (InvalidTag, ValueError):
        return None


_SAME = "All workers of one database need the same control.seal_key_file; a key that was rotated out must stay in it."
