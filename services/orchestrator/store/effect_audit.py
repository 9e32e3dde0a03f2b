"""What the audit says of acts: each state of an attempt, by names and hashes; who and what as commitments. Pure."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from services.common.personal import Personal
from services.orchestrator.control.model import State
from services.orchestrator.store.records import to_jsonb
from services.records.entry import AuditEntry, prepare

if TYPE_CHECKING:
    from services.orchestrator.store.effects import EffectRow, NewEffect

# (body, openings) of a row of audit_pending: AuditLog.pending_row, which keeps openings as records.audit.personal says.
Told = Callable[[AuditEntry], tuple[str, str]]
# Replaced by the statement that writes it.
_LATER = datetime(1970, 1, 1, tzinfo=UTC)


def plain_row(entry: AuditEntry) -> tuple[str, str]:
    """Without openings: commitments that are never opened."""
    return to_jsonb(prepare(entry).body), "[]"


def begun_entries(new: "NewEffect", attempt: int) -> list[AuditEntry]:
    """An act is begun, nothing was sent yet; before it, that the caller heard it read back and said yes."""
    begun = AuditEntry(
        actor="agent",
        action="effect.pending",
        at=_LATER,
        subject=new.effect_id,
        call_id=new.call_id,
        bundle_digest=new.agent_digest,
        detail={"tool": new.tool, "turn": new.turn, "attempt": attempt, "request_hash": new.request_hash},
        personal={
            "subject": Personal(new.subject, "subject"),
            "request": Personal(json.dumps(dict(new.request), sort_keys=True, ensure_ascii=False), "request"),
        },
    )
    return [replace(begun, action="control.confirmed", personal={}), begun] if new.confirmed else [begun]


def moved_entry(before: "EffectRow", state: State, reason: str) -> AuditEntry:
    """It is in another state."""
    return AuditEntry(
        actor="agent",
        action=f"effect.{state}",
        at=_LATER,
        subject=before.effect_id,
        call_id=before.call_id,
        bundle_digest=before.agent_digest,
        detail={"tool": before.tool, "before": before.state, "reason": reason, "request_hash": before.request_hash},
    )
