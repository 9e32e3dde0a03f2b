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
    """The site's key: makes and unwraps keys of calls, keys hashes of acts. All workers of a database share it."""

    def __init__(self, key: bytes) -> None:
        """`key`: 32 bytes."""
        self._aead = AESGCM(key)
        # Hashes of acts are over few possible values; without this key nobody can try them all.
        self.hash_key = hmac.new(key, b"trunkline act hashes v1", hashlib.sha256).digest()

    def new(self, call_id: str) -> tuple[DataKey, bytes]:
        """A key, and what to store of it."""
        key, nonce = AESGCM.generate_key(256), os.urandom(_NONCE_BYTES)
        return DataKey(key), nonce + self._aead.encrypt(nonce, key, _WRAPPING + call_id.encode())

    def unwrap(self, call_id: str, wrapped: bytes) -> DataKey:
        """Raises SettingsError when it was wrapped by another site's key."""
        try:
            return DataKey(
                self._aead.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], _WRAPPING + call_id.encode())
            )
        except (InvalidTag, ValueError):
            raise SettingsError("The data key of a call does not open.", remedy=_SAME) from None


_SAME = "All workers of one database need the same control.seal_key_file."
