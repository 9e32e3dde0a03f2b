"""C2SP signed notes with Ed25519: keys, signature lines, and tlog-cosignature/v1 of witnesses. Pure.

A note is text, an empty line, then lines `— <name> base64(key id ‖ signature)` (c2sp.org/signed-note). A log signs the
text itself (type 0x01); a witness signs `cosignature/v1\\ntime <t>\\n` and the text (type 0x04) and puts the time in
front of its signature (c2sp.org/tlog-cosignature). Other tools of that family read and check these notes.
"""

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from services.common.errors import InvalidInputError

ED25519, COSIGNATURE_V1 = 1, 4
MAX_SIGNATURES = 100
_DASH = "— "
_PRIVATE = "PRIVATE+KEY+"


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key with its name: `<name>+<key id, hex>+base64(type ‖ key)`."""

    name: str
    kind: int
    key: bytes

    @property
    def key_id(self) -> bytes:
        """Four bytes that find the signature; no security rests on them."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.key).digest()[:4]

    @classmethod
    def parse(cls, text: str) -> "Verifier":
        """Raises InvalidInputError."""
        name, _, rest = text.strip().partition("+")
        key_id, _, material = rest.partition("+")
        raw = _unbase64(material)
        if raw is None or len(raw) != 33 or raw[0] not in (ED25519, COSIGNATURE_V1) or not valid_name(name):
            raise InvalidInputError(
                "public key",
                expected="name+hex+base64 with an Ed25519 key (C2SP vkey)",
                got="something else",
                remedy="It is the line in log.pub or witness.pub.",
            )
        verifier = cls(name, raw[0], raw[1:])
        if key_id != verifier.key_id.hex():
            raise InvalidInputError(
                "public key",
                expected=f"key id {verifier.key_id.hex()}",
                got=key_id,
                remedy="A character of the key was lost: copy it again.",
            )
        return verifier

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{_base64(bytes([self.kind]) + self.key)}"

    def check(self, text: str, signature: bytes) -> bool:
        """Whether `signature` (without the key id) is this key's over `text`."""
        message = text.encode()
        if self.kind == COSIGNATURE_V1:
            if len(signature) != 72:
                return False
            message = _timed(text, signed_at(signature))
            signature = signature[8:]
        try:
            Ed25519PublicKey.from_public_bytes(self.key).verify(signature, message)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key; its text is `PRIVATE+KEY+<name>+<key id>+base64(type ‖ seed)`, as Go's note package writes it."""

    name: str
    kind: int
    _key: Ed25519PrivateKey

    @classmethod
    def generate(cls, name: str, kind: int = ED25519) -> "Signer":
        """A new key. Raises InvalidInputError for a name with spaces or plus signs."""
        if not valid_name(name):
            raise InvalidInputError(
                "name", expected="a name like example.com/audit, no spaces, no plus", got=repr(name)
            )
        return cls(name, kind, Ed25519PrivateKey.generate())

    @classmethod
    def parse(cls, text: str) -> "Signer":
        """Raises InvalidInputError; the text itself is in no message."""
        parts = text.strip().removeprefix(_PRIVATE).split("+", 2)
        raw = _unbase64(parts[2]) if text.startswith(_PRIVATE) and len(parts) == 3 else None
        if raw is None or len(raw) != 33 or raw[0] not in (ED25519, COSIGNATURE_V1) or not valid_name(parts[0]):
            raise InvalidInputError(
                "private key", expected="PRIVATE+KEY+name+hex+base64 (Ed25519)", got="something else"
            )
        return cls(parts[0], raw[0], Ed25519PrivateKey.from_private_bytes(raw[1:]))

    def private_text(self) -> str:
        """The key itself; for a file that only its owner reads."""
        seed = _base64(bytes([self.kind]) + self._key.private_bytes_raw())
        return f"{_PRIVATE}{self.name}+{self.verifier.key_id.hex()}+{seed}"

    def __repr__(self) -> str:
        return f"Signer({self.name})"

    @property
    def verifier(self) -> Verifier:
        """The public half."""
        return Verifier(self.name, self.kind, self._key.public_key().public_bytes_raw())

    def line(self, text: str, unix_s: int = 0) -> str:
        """A signature line over `text`; a cosignature needs the time."""
        if self.kind == COSIGNATURE_V1:
            signature = struct.pack(">Q", unix_s) + self._key.sign(_timed(text, unix_s))
        else:
            signature = self._key.sign(text.encode())
        return f"{_DASH}{self.name} {_base64(self.verifier.key_id + signature)}\n"


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line."""

    name: str
    key_id: bytes
    signature: bytes

    def line(self) -> str:
        """As it stands in a note."""
        return f"{_DASH}{self.name} {_base64(self.key_id + self.signature)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """Text (its final newline included) and signatures, checked or not."""

    text: str
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, raw: str) -> "Note":
        """Raises InvalidInputError for what is no signed note."""
        text, separator, tail = raw.rpartition("\n\n")
        lines = tail.split("\n")
        if not separator or lines.pop() != "" or not 0 < len(lines) <= MAX_SIGNATURES or _has_control(raw):
            raise InvalidInputError("note", expected="text, an empty line and signature lines", got="something else")
        return cls(text + "\n", parse_lines(tail))

    def __str__(self) -> str:
        return self.text + "\n" + "".join(signature.line() for signature in self.signatures)

    def signed_by(self, verifier: Verifier) -> Signature | None:
        """The valid signature of this key, if there is one and none of its lines is false."""
        own = [s for s in self.signatures if (s.name, s.key_id) == (verifier.name, verifier.key_id)]
        if own and all(verifier.check(self.text, s.signature) for s in own):
            return own[-1]
        return None

    def with_lines(self, lines: str) -> "Note":
        """The same text with more signatures."""
        return Note(self.text, tuple(dict.fromkeys((*self.signatures, *parse_lines(lines)))))


def parse_lines(text: str) -> tuple[Signature, ...]:
    """Signature lines, each ending in a newline. Raises InvalidInputError."""
    found: list[Signature] = []
    for line in text.split("\n")[:-1]:
        name, _, encoded = line.removeprefix(_DASH).partition(" ")
        raw = _unbase64(encoded)
        if not line.startswith(_DASH) or not valid_name(name) or raw is None or len(raw) < 5:
            raise InvalidInputError("signature line", expected="— name base64", got="something else")
        found.append(Signature(name, raw[:4], raw[4:]))
    return tuple(found)


def signed_at(signature: bytes) -> int:
    """When a cosignature was made, POSIX seconds."""
    return int(struct.unpack(">Q", signature[:8])[0])


def valid_name(name: str) -> bool:
    """Non-empty, no Unicode space, no plus, no control character."""
    return bool(name) and not any(char.isspace() or char == "+" or ord(char) < 32 for char in name)


def _timed(text: str, unix_s: int) -> bytes:
    return f"cosignature/v1\ntime {unix_s}\n{text}".encode()


def _has_control(raw: str) -> bool:
    return any(ord(char) < 32 and char != "\n" for char in raw)


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _unbase64(text: str) -> bytes | None:
    """None unless `text` is the one standard encoding of its bytes."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if _base64(raw) == text else None
