"""Who published a bundle: an Ed25519 signature over its digest, checked whenever it is loaded for a call.

The key is a file (PEM, PKCS #8, mode 0600) of the people who publish; workers hold public keys only.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from services.common.errors import InvalidInputError, TrunklineError

_CONTEXT = b"trunkline agent bundle v1\n"


class SignatureError(TrunklineError):
    """A stored bundle is not what somebody we trust published."""


def statement(agent: str, version: str, digest: str) -> bytes:
    """What is signed: the context, so that the signature means nothing else, and the bundle's name and content."""
    return _CONTEXT + f"{agent}\n{version}\n{digest}\n".encode()


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs with one private key."""

    _key: Ed25519PrivateKey

    @classmethod
    def load(cls, path: Path) -> "Signer":
        """Read the key file. Raises InvalidInputError when it is missing, readable by others, or no Ed25519 key."""
        try:
            mode = path.stat().st_mode
            key = serialization.load_pem_private_key(path.read_bytes(), None)
        except (OSError, ValueError, TypeError) as error:
            raise InvalidInputError(
                "key", expected="an Ed25519 key (PEM)", got=type(error).__name__, remedy=f"Run {_MAKE}."
            ) from None
        if mode & 0o077:
            raise InvalidInputError(
                "key", expected="a file that only you can read", got=oct(mode & 0o777), remedy="chmod 600"
            )
        if not isinstance(key, Ed25519PrivateKey):
            raise InvalidInputError("key", expected="an Ed25519 key", got=type(key).__name__)
        return cls(key)

    @classmethod
    def create(cls, path: Path) -> "Signer":
        """Make a new key file. Raises InvalidInputError when there is one already: keys are never overwritten."""
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise InvalidInputError("key", expected="a path without a file", got=str(path)) from None
        with os.fdopen(descriptor, "wb") as out:
            out.write(pem)
        return cls(key)

    def sign(self, agent: str, version: str, digest: str) -> bytes:
        """The signature, 64 bytes."""
        return self._key.sign(statement(agent, version, digest))

    @property
    def public(self) -> bytes:
        """The raw public key, 32 bytes."""
        return self._key.public_key().public_bytes_raw()


def verify(public: bytes, signature: bytes, agent: str, version: str, digest: str) -> None:
    """Raises SignatureError when the signature is not of this key over this bundle."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, statement(agent, version, digest))
    except (InvalidSignature, ValueError):
        raise SignatureError(
            f"The signature of {agent} {version} is not valid.", remedy="Publish it again from a trusted place."
        ) from None


_MAKE = "`trunkline bundle keygen`"
