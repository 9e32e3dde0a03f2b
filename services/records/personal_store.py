"""How the openings of commitments are kept: not at all, sealed by AES-256-GCM, or plain. Pure."""

import os
from dataclasses import dataclass
from typing import Any, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.common.errors import SettingsError
from services.records.canonical import canonical
from services.records.entry import Opening

# none: the commitment can never be opened, the data is as if erased from the start.
PersonalPolicy = Literal["none", "sealed", "plain"]
_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class StoredOpening:
    """An opening as a row; `value` is UTF-8 or sealed."""

    field: str
    salt: bytes
    value: bytes
    sealed: bool

    def to_json(self) -> dict[str, Any]:
        """For the pending table."""
        return {"field": self.field, "salt": self.salt.hex(), "value": self.value.hex(), "sealed": self.sealed}

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> "StoredOpening":
        """The opposite of `to_json`."""
        return cls(raw["field"], bytes.fromhex(raw["salt"]), bytes.fromhex(raw["value"]), raw["sealed"])


class PersonalStore:
    """Turns openings into rows and back under one policy and key (32 bytes; needed for "sealed")."""

    def __init__(self, policy: PersonalPolicy, key: bytes | None = None) -> None:
        if policy == "sealed" and key is None:
            raise SettingsError(
                "records.audit.personal is sealed and there is no key.",
                remedy="Run `trunkline audit init`, or name records.audit.seal_key_file.",
            )
        self.policy: PersonalPolicy = policy
        self._cipher = AESGCM(key) if key is not None else None

    def store(self, openings: tuple[Opening, ...]) -> list[StoredOpening]:
        """The rows to write; none under the policy "none"."""
        if self.policy == "none":
            return []
        return [self._store(opening) for opening in openings]

    def open(self, row: StoredOpening) -> Opening | None:
        """The opening, or None where the key at hand does not open it."""
        value = row.value
        if row.sealed:
            if self._cipher is None:
                return None
            try:
                value = self._cipher.decrypt(value[:_NONCE_BYTES], value[_NONCE_BYTES:], _bound(row.field, row.salt))
            except InvalidTag:
                return None
        return Opening(row.field, row.salt, value.decode("utf-8", "replace"))

    def _store(self, opening: Opening) -> StoredOpening:
        value = opening.value.encode()
        if self.policy == "plain" or self._cipher is None:
            return StoredOpening(opening.field, opening.salt, value, False)
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, value, _bound(opening.field, opening.salt))
        return StoredOpening(opening.field, opening.salt, sealed, True)


def _bound(field: str, salt: bytes) -> bytes:
    """Ties a sealed value to its row."""
    return canonical([field, salt.hex()])
