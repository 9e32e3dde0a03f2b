"""Erasing what opens commitments: the data are gone, the log and all its proofs stay."""

from typing import Any

from services.common.postgres import typed_errors
from services.records.audit_log import write_entries
from services.records.entry import AuditEntry, prepare
from services.records.personal_store import PersonalStore

ERASER_ROLE = "trunkline_audit_eraser"


async def shred_call(connection: Any, call_id: str, entry: AuditEntry, personal: PersonalStore) -> int:
    """Delete salts and values of a call's entries and append `entry`, both or neither; how many were deleted.

    Who read or erased (actions `audit.…`) stays: it is about the staff, not about the caller.
    `connection` may write the log and take the eraser's role. Raises UnavailableError, StoreError.
    """
    with typed_errors("erasing personal data of the audit log"):
        async with connection.transaction():
            await connection.execute(f"SET LOCAL ROLE {ERASER_ROLE}")
            status = await connection.execute(
                "DELETE FROM audit_personal WHERE index IN (SELECT index FROM audit_entries "
                "WHERE entry::jsonb ->> 'call' <> '' AND entry::jsonb ->> 'call' = $1 "
                "AND entry::jsonb ->> 'action' NOT LIKE 'audit.%')",
                call_id,
            )
            await connection.execute("RESET ROLE")
            await write_entries(connection, [prepare(entry)], personal)
    return int(status.rpartition(" ")[2])
