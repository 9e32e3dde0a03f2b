"""Settings of what lasts and what is answered for: records, audit, bundles, systems of record."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from services.common.settings.base import Positive, Section


class AuditSettings(Section):
    """The audit log (docs/audit.md). Its keys lie under `data_dir`/audit unless named here; `trunkline audit init`."""

    # What is kept of personal data beside its commitments. none: they can never be opened.
    personal: Literal["none", "sealed", "plain"] = "none"
    # Credentials that may only insert; empty: database.dsn with the role trunkline_audit_writer.
    dsn: str = ""
    log_key_file: Path | None = None
    seal_key_file: Path | None = None
    # A signed checkpoint after so long, when there is something new.
    checkpoint_s: Annotated[float, Field(gt=0)] = 60.0
    # "<url> <public key>" of every witness, e.g. "http://127.0.0.1:8095 witness.example/w1+abcd1234+BA…".
    witnesses: tuple[str, ...] = ()


class RecordsSettings(Section):
    """What of a call's words is stored. Consent comes with the records room; until then: nothing by default."""

    transcripts: Literal["none", "all"] = "none"
    audit: AuditSettings = AuditSettings()


class BundlesSettings(Section):
    """Agents as published bundles (docs/bundles.md)."""

    # Ed25519 key of the people who publish; `trunkline bundle keygen` makes one.
    signing_key: Path = Path("~/.config/trunkline/bundle-key.pem")
    # Public keys (hex) that may publish; empty: the key stored with a bundle is believed (integrity, not origin).
    trusted_keys: tuple[Annotated[str, Field(pattern="^[0-9a-f]{64}$")], ...] = ()

    def trusted(self) -> frozenset[bytes] | None:
        """The keys as bytes; None when none is named."""
        return frozenset(bytes.fromhex(key) for key in self.trusted_keys) or None


class ControlSettings(Section):
    """What stands between a dialogue and systems of record (docs/control.md)."""

    # Agent id → base URL of its back end: backends.bank-retail = "http://127.0.0.1:8090".
    backends: dict[str, Annotated[str, Field(pattern=r"^https?://")]] = Field(default_factory=dict)
    # Acts left open by a dead worker or a lost answer, and reviews past their deadline, are looked for so often.
    recover_every_s: Annotated[float, Field(gt=0)] = 5.0
    # An act that nobody has moved for so long was left: longer than any tool's deadline.
    left_open_s: Annotated[float, Field(gt=0)] = 40.0
    # An act that waits for its back end (degrade.queue) is given up after so long, or its idempotency window.
    queue_s: Positive = 4 * 3600
    # A reviewer has so long; then the caller is called back with a no.
    review_s: Positive = 4 * 3600
    # 32 bytes in hex that wrap the keys of what acts were asked with; empty: made under `data_dir`/control.
    seal_key_file: Path | None = None
