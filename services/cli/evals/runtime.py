"""The runtime under test, put together as a worker does it: control room, sessions, audit, recovery; virtual time."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg

from services.cli.evals.proposer import Noted, Understandings
from services.cli.evals.session_agent import Mouth, Noting, SessionAgent
from services.cli.evals.transcript import Transcript
from services.cli.evals.world import Stage
from services.common.clock import SystemClock, VirtualClock
from services.common.personal import Personal
from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.control.facts import Caller
from services.orchestrator.control.recovery import Recovery
from services.orchestrator.control.review import Reviewing
from services.orchestrator.control.room import ControlRoom
from services.orchestrator.dialogue.locales import pack
from services.orchestrator.dialogue.manager import Dialogue
from services.orchestrator.dialogue.session import Session
from services.orchestrator.store.audit import AuditRoom, open_audit
from services.orchestrator.store.callbacks import CallbackStore
from services.orchestrator.store.dialogue import DialogueStore
from services.orchestrator.store.effects import EffectStore
from services.orchestrator.store.reviews import ReviewStore
from services.records.export import export_log
from services.records.keys import load_log_key, load_personal_store
from services.records.verify import verify

# Deadlines of tools are shortened by this, so that a back end that is too slow costs the run little.
FASTER = 0.25
LEAST_MS = 150
BETWEEN_MS = 60_000


@dataclass
class Runtime:
    """One per run. `understanding` makes what stands for the model in one conversation."""

    stage: Stage
    bundle: Bundle
    room: ControlRoom
    audit: AuditRoom
    clock: VirtualClock
    dialogues: DialogueStore
    recovery: Recovery
    understanding: Understandings
    _closed: bool = False

    async def agent(
        self, call_id: str, number: str, locale: str, seed: str, transcript: Transcript, *, slips: bool
    ) -> SessionAgent:
        """A call from `number` (empty: withheld). `slips`: the scripted proposer may be wrong."""
        caller = Caller(ani=number, locale=locale, transport="sip")
        speaker = pack(locale, self.bundle.agent.locales[locale])
        layer = Noting(self.room, self.bundle, call_id, caller, locale, speaker)
        layer.mouth = mouth = Mouth()
        noted = Noted(locale)
        writer = await self.dialogues.begin(call_id, self.bundle.digest, locale, Personal(number, "number"))
        session = Session(
            Dialogue(self.bundle, locale),
            self.understanding(locale, seed, transcript, noted, slips),
            layer,
            writer,
            mouth,
            self.clock,
        )
        return SessionAgent(session, mouth, layer, noted)

    async def wait_ms(self, milliseconds: float) -> None:
        """Time passes for everything of ours."""
        await self.clock.advance_ms(milliseconds)

    async def settle(self) -> None:
        """As a worker does in the background: acts under way end, those that were left open are asked for."""
        await self.room.drain()
        await self.recovery.sweep()
        # A breaker that this call opened is closed before the next one.
        await self.clock.advance_ms(BETWEEN_MS)

    async def close(self) -> None:
        """Acts end, the audit log is written and signed; once."""
        if not self._closed:
            self._closed = True
            await self.room.drain()
            await self.audit.close(10.0)

    async def verify_audit(self) -> list[str]:
        """Export and check the log as an auditor would: every finding, and acts in the books without an entry."""
        await self.close()
        connection = await asyncpg.connect(self.stage.dsn)
        try:
            lines = [line async for line in export_log(connection, load_personal_store(self.stage.settings))]
            report = verify(lines, load_log_key(self.stage.settings).verifier)
            found = [finding.message for finding in report.findings]
            lost = await connection.fetchval(
                "SELECT count(*) FROM effects WHERE state = 'committed' AND NOT EXISTS "
                "(SELECT FROM audit_entries WHERE position(effect_id IN entry) > 0)"
            )
            if lost:
                found.append(f"{lost} committed effects have no entry in the audit log.")
            return found
        finally:
            await connection.close()


@contextlib.asynccontextmanager
async def runtime(stage: Stage, understanding: Understandings) -> AsyncIterator[Runtime]:
    """Over a stage. The audit log writes in real time, as it would for any worker."""
    clock = VirtualClock()
    audit = await open_audit(stage.settings, stage.dsn, SystemClock())
    told = audit.log.pending_row
    # Without a ring the rows are plain: the gates read them.
    effects = EffectStore(stage.pool, None, told)
    room = ControlRoom(effects, audit.log, {stage.bundle.agent.id: stage.url}, stage.http, clock)
    bundle = _hurried(stage.bundle)

    async def load(_digest: str) -> Bundle:
        return bundle

    room.reviewing = Reviewing(
        room, ReviewStore(stage.pool, told), CallbackStore(stage.pool, told), load, stage.settings.control.review_s
    )
    recovery = Recovery(room, room.reviewing, load, 0.0, stage.settings.control.queue_s)
    made = Runtime(stage, bundle, room, audit, clock, DialogueStore(stage.pool), recovery, understanding)
    try:
        yield made
    finally:
        await made.close()


def _hurried(bundle: Bundle) -> Bundle:
    tools = {
        name: tool.model_copy(update={"timeout_ms": max(LEAST_MS, int(tool.timeout_ms * FASTER))})
        for name, tool in bundle.tools.items()
    }
    return dataclasses.replace(bundle, tools=tools)
