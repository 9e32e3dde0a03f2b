"""The audit log: time of one durable append, entries a second with many callers, and what checking an export costs.

    python -m benchmarks.audit [--entries 2000] [--json]

A fresh embedded PostgreSQL with its defaults (fsync on), the real writer, one process.
"""

import argparse
import asyncio
import json
import tempfile
from pathlib import Path

import numpy as np

from services.common.clock import Clock, SystemClock
from services.common.personal import Personal
from services.common.settings import load_settings
from services.orchestrator.store import open_store
from services.orchestrator.store.visit import visit_database
from services.records.audit_log import AuditLog
from services.records.entry import AuditEntry
from services.records.export import export_log
from services.records.keys import load_verifier
from services.records.verify import verify

CALLERS = 50


async def measure(entries: int, clock: Clock) -> dict[str, float | int]:
    """Every figure in one run; times in ms."""
    with tempfile.TemporaryDirectory() as directory:
        settings = load_settings(overrides={"data_dir": directory, "records": {"audit": {"personal": "plain"}}})
        store = await open_store(settings, clock)
        try:
            log = store.audit.log
            await append(log, clock, 20)
            alone = await append(log, clock, min(entries, 300))
            begun = clock.now_ns()
            each = max(1, entries // CALLERS)
            together = await asyncio.gather(*(append(log, clock, each) for _ in range(CALLERS)))
            together_s = (clock.now_ns() - begun) / 1e9
            assert store.audit.checkpointer is not None
            begun = clock.now_ns()
            await store.audit.checkpointer.make()
            checkpoint_ms = (clock.now_ns() - begun) / 1e6
            async with visit_database(settings, clock) as (_, connection):
                lines = [line async for line in export_log(connection)]
        finally:
            await store.close()
        begun = clock.now_ns()
        report = verify(lines, load_verifier(str(Path(directory) / "audit" / "log.pub")))
        verify_s = (clock.now_ns() - begun) / 1e9
    assert report.ok, report.findings
    waits = [ms for of_one in together for ms in of_one]
    return {
        "append_alone_n": len(alone),
        "append_alone_p50_ms": _percentile(alone, 50),
        "append_alone_p95_ms": _percentile(alone, 95),
        f"append_{CALLERS}_callers_n": len(waits),
        f"append_{CALLERS}_callers_p50_ms": _percentile(waits, 50),
        f"append_{CALLERS}_callers_p95_ms": _percentile(waits, 95),
        f"entries_per_s_{CALLERS}_callers": len(waits) / together_s,
        "checkpoint_ms": checkpoint_ms,
        "verified_entries": report.entries,
        "verified_entries_per_s": report.entries / verify_s,
    }


async def append(log: AuditLog, clock: Clock, count: int) -> list[float]:
    """One after the other; the time of each in ms."""
    times: list[float] = []
    for n in range(count):
        begun = clock.now_ns()
        entry = AuditEntry(
            actor="system",
            action="bench.done",
            at=clock.wall(),
            call_id=f"{n:032x}",
            detail={"n": n},
            personal={"caller": Personal("sip:+15550100@example.net", "uri")},
        )
        await log.append(entry)
        times.append((clock.now_ns() - begun) / 1e6)
    return times


def _percentile(times: list[float], q: int) -> float:
    return float(np.percentile(times, q))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=2000)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    figures = asyncio.run(measure(args.entries, SystemClock()))
    if args.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:<32} {value:>10.1f}" if isinstance(value, float) else f"{name:<32} {value:>10}")


if __name__ == "__main__":
    main()
