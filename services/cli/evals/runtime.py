"""The runtime under test, put together as a worker does it: control room, sessions, audit, recovery; virtual time."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg

from services.cli.evals.proposer import Noted, Understandings
from services.cli.evals.session_agent import Bridge, Mouth, SessionAgent
from services.cli.evals.transcript import Transcript
from services.cli.evals.world import Stage
from services.common.clock import SystemClock, VirtualClock
from services.common.errors import TrunklineError
from services.common.personal import Personal
from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.control.facade import ControlLayer
from services.orchestrator.control.facts import Caller
from services.orchestrator.control.room import ControlRoom
from services.orchestrator.dialogue.locales import pack
from services.orchestrator.dialogue.manager import Dialogue
from services.orchestrator.dialogue.session import Session
from services.orchestrator.store.audit import AuditRoom, open_audit
from services.orchestrator.store.dialogue import DialogueStore
from services.orchestrator.store.effects import EffectStore
from services.records.export import export_log
from services.records.keys import load_log_key, load_personal_store
from services.records.verify import verify

# Deadlines of tools are shortened by this, so that a back end that is too slow costs the run little.
FASTER = 0.25
LEAST_MS = 150


@dataclass
class Runtime:
    """One per run. `understanding` makes what stands for the model in one conversation."""

    stage: Stage
    bundle: Bundle
    room: ControlRoom
    audit: AuditRoom
    clock: VirtualClock
    dialogues: DialogueStore
    understanding: Understandings

    async def agent(
        self, call_id: str, number: str, locale: str, seed: str, transcript: Transcript, *, slips: bool
    ) -> SessionAgent:
        """A call from `number` (empty: withheld). `slips`: the scripted proposer may be wrong."""
        caller = Caller(ani=number, locale=locale, transport="sip")
        speaker = pack(locale, self.bundle.agent.locales[locale])
        layer = ControlLayer(self.room, self.bundle, call_id, caller, locale, speaker)
        mouth, noted = Mouth(), Noted(locale)
        writer = await self.dialogues.begin(call_id, self.bundle.digest, locale, Personal(number, "number"))
        session = Session(
            Dialogue(self.bundle, locale),
            self.understanding(locale, seed, transcript, noted, slips),
            Bridge(layer, mouth),
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
        executor = self.room.executor(self.room.backend(self.bundle.agent.id))
        for row in await self.room.effects.left_open(0):
            with contextlib.suppress(TrunklineError):
                await executor.recover(self.bundle, row, str(row.request.get("subject", "")))

    async def verify_audit(self) -> list[str]:
        """Export and check the log as an auditor would: every finding, and acts in the books without an entry."""
        await self.audit.close(10.0)
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
    room = ControlRoom(EffectStore(stage.pool), audit.log, {stage.bundle.agent.id: stage.url}, stage.http, clock)
    try:
        yield Runtime(stage, _hurried(stage.bundle), room, audit, clock, DialogueStore(stage.pool), understanding)
    finally:
        await room.drain()
        await audit.close(10.0)


def _hurried(bundle: Bundle) -> Bundle:
    tools = {
        name: tool.model_copy(update={"timeout_ms": max(LEAST_MS, int(tool.timeout_ms * FASTER))})
        for name, tool in bundle.tools.items()
    }
    return dataclasses.replace(bundle, tools=tools)
