"""A verification and entries as a person reads them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from services.records.findings import Report

MOST_SHOWN = 40


def verify_text(report: Report) -> str:
    """The whole report; the last line is the verdict."""
    kind = "excerpt of " if report.excerpt else ""
    lines = [f"Audit log {kind}{report.origin or '(never signed)'}", ""]
    span = f"{report.first_at} to {report.last_at}" if report.entries else "none"
    lines.append(f"  entries     {report.entries:>8}   {span}")
    lines.append(f"  signed      {report.signed_size:>8}   {report.checkpoints} checkpoints of the log's key")
    for name, (size, unix_s) in sorted(report.witnessed.items()):
        at = datetime.fromtimestamp(unix_s, UTC).isoformat().replace("+00:00", "Z")
        lines.append(f"  witnessed   {size:>8}   {name} at {at}")
    closed = report.commitments - report.opened
    lines.append(f"  personal    {report.commitments:>8}   {report.opened} opened here, {closed} closed or shredded")
    lines += ["", *(f"note: {note}" for note in report.notes)]
    for finding in report.findings[:MOST_SHOWN]:
        lines.append(f"{finding.kind.replace('_', ' '):<18} {finding.message}")
    if len(report.findings) > MOST_SHOWN:
        lines.append(f"… and {len(report.findings) - MOST_SHOWN} more (--json has all).")
    many = f"{len(report.findings)} finding{'s' if len(report.findings) != 1 else ''}"
    lines.append("OK: every entry is as it was signed." if report.ok else f"NOT OK: {many}. Keep this file.")
    return "\n".join(lines)


def entry_table(rows: Sequence[dict[str, Any]]) -> str:
    """One line an entry; personal values only where they were opened."""
    if not rows:
        return "No such entries."
    head = ("entry", "when", "who", "what", "to what", "")
    cells = [head, *(_cells(row) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head) - 1)]
    lines = []
    for row in cells:
        lines.append(
            "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
        )
    return "\n".join(lines)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    said = [f"{key}={value}" for key, value in row["detail"].items() if value != ""]
    said += [f"{name}={row['opened'].get(name, '‹closed›')}" for name in row["personal"]]
    return (str(row["index"]), row["at"], row["actor"], row["action"], row["subject"], " ".join(said))
