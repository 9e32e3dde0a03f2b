"""Key files: a private key that only its owner can read, its public line beside it."""

import contextlib
import os
import secrets
import stat
from pathlib import Path

from services.common.errors import InvalidInputError, SettingsError
from services.common.settings import Settings
from services.records.data_keys import KEY_BYTES, KeyRing
from services.records.notes import Signer, Verifier
from services.records.personal_store import PersonalStore
from services.records.witness_client import WitnessClient

LOG_KEY, LOG_PUBLIC = "log.key", "log.pub"
WITNESS_KEY, WITNESS_PUBLIC = "witness.key", "witness.pub"
SEAL_KEY = "seal.key"
SEAL_BYTES = 32
# Before a key that is known everywhere before it is used anywhere.
ONLY_OPENS = "open:"


def audit_dir(data_dir: Path) -> Path:
    """Where keys lie unless a setting names another place."""
    return data_dir.expanduser() / "audit"


def write_secret(path: Path, text: str) -> None:
    """Create a file of mode 0600, durably; never replaces one. Raises FileExistsError, SettingsError."""
    scratch = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        # A link is there whole or not at all, and fails where there is a key.
        os.link(scratch, path)
    except FileExistsError:
        raise
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}.", remedy="Choose a writable place.") from None
    finally:
        scratch.unlink(missing_ok=True)


def read_secret(path: Path) -> str:
    """Raises SettingsError when it is missing or others may read it."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(
            f"No key in {path} ({error.strerror}).", remedy="Run `trunkline audit init`, or name the key file."
        ) from None
    if mode & 0o077:
        raise SettingsError(
            f"{path}: expected mode 0600, got {mode:04o}: others can read this key.", remedy=f"chmod 600 {path}"
        )
    return text.strip()


def create_signer(key_file: Path, public_file: Path, signer: Signer) -> Verifier:
    """Write both halves. Raises FileExistsError when there is a key, SettingsError."""
    write_secret(key_file, signer.private_text())
    public_file.write_text(f"{signer.verifier}\n", encoding="utf-8")
    return signer.verifier


def load_signer(key_file: Path) -> Signer:
    """Raises SettingsError, InvalidInputError."""
    return Signer.parse(read_secret(key_file))


def log_key_file(settings: Settings) -> Path:
    """Where the log's private key lies."""
    named = settings.records.audit.log_key_file
    return named.expanduser() if named else audit_dir(settings.data_dir) / LOG_KEY


def seal_key_file(settings: Settings) -> Path:
    """Where the key for sealed personal values lies."""
    named = settings.records.audit.seal_key_file
    return named.expanduser() if named else audit_dir(settings.data_dir) / SEAL_KEY


def load_log_key(settings: Settings, *, create: bool = False) -> Signer:
    """The log's key; `create`: make it when there is none. Raises SettingsError, InvalidInputError."""
    path = log_key_file(settings)
    if create and not path.exists():
        # Another worker of this machine may be quicker: then its key is the log's.
        with contextlib.suppress(FileExistsError):
            create_signer(path, path.with_suffix(".pub"), Signer.generate(new_origin()))
    return load_signer(path)


def load_personal_store(settings: Settings) -> PersonalStore:
    """By records.audit.personal; the key of a sealed one is made when there is none. Raises SettingsError."""
    policy, path = settings.records.audit.personal, seal_key_file(settings)
    if policy == "sealed" and not path.exists():
        with contextlib.suppress(FileExistsError):
            write_secret(path, secrets.token_hex(SEAL_BYTES))
    if not path.exists():
        return PersonalStore(policy)
    try:
        key = bytes.fromhex(read_secret(path))
    except ValueError:
        key = b""
    if len(key) != SEAL_BYTES:
        raise SettingsError(f"{path}: expected {SEAL_BYTES} bytes in hex, got something else.")
    return PersonalStore(policy, key)


def load_key_ring(settings: Settings) -> KeyRing:
    """The keys that wrap the keys of calls. With the embedded database one is made when there is none.

    Raises SettingsError: with a database that others use too, a new key here could not open what they sealed.
    """
    named = settings.control.seal_key_file
    path = named.expanduser() if named else settings.data_dir.expanduser() / "control" / "seal.key"
    if not path.exists() and not settings.database.dsn:
        with contextlib.suppress(FileExistsError):
            write_secret(path, secrets.token_hex(KEY_BYTES))
    if not path.exists():
        raise SettingsError(
            f"No key in {path}.", remedy="Put 32 random bytes in hex there (mode 0600), the same on every machine."
        )
    return parse_key_ring(read_secret(path), str(path))


def parse_key_ring(text: str, place: str) -> KeyRing:
    """A key a line, the oldest first; the last that is not marked `open:` seals. Raises SettingsError."""
    keys: list[bytes] = []
    seals = -1
    for line in filter(None, (line.strip() for line in text.splitlines())):
        only_opens = line.startswith(ONLY_OPENS)
        try:
            key = bytes.fromhex(line.removeprefix(ONLY_OPENS))
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES:
            raise SettingsError(f"{place}: expected {KEY_BYTES} bytes in hex a line, got something else.")
        seals = seals if only_opens else len(keys)
        keys.append(key)
    if seals < 0:
        raise SettingsError(
            f"{place}: expected a key that seals, got none.", remedy=f"Leave `{ONLY_OPENS}` away before one."
        )
    return KeyRing(*keys, seals=seals)


def load_witnesses(settings: Settings) -> list[WitnessClient]:
    """By records.audit.witnesses. Raises InvalidInputError."""
    clients: list[WitnessClient] = []
    for text in settings.records.audit.witnesses:
        url, _, key = text.strip().partition(" ")
        if not url.startswith(("http://", "https://")) or not key:
            raise InvalidInputError("records.audit.witnesses", expected="'<url> <public key>'", got=repr(text))
        clients.append(WitnessClient(url, load_verifier(key)))
    return clients


def new_origin() -> str:
    """A name for a log that nobody named: unique, so that two logs never pass for one."""
    return f"trunkline.{secrets.token_hex(6)}/audit"


def load_verifier(text_or_file: str) -> Verifier:
    """A public key as given on a command line: the line itself or a file holding it. Raises InvalidInputError."""
    path = Path(text_or_file).expanduser()
    if "+" not in text_or_file or path.is_file():
        try:
            return Verifier.parse(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"No public key in {path} ({type(error).__name__}).", remedy="Name log.pub, or paste its line."
            ) from None
    return Verifier.parse(text_or_file)
