"""Real calls on a released bundle: each pins the version it began with, a rollback acts on the next one."""

import asyncio
import tempfile
from pathlib import Path

import pytest

from services.cli.api import Api
from services.cli.dialers import open_dialer, stack_target
from services.cli.stack import local_services
from services.common.clock import SystemClock
from services.orchestrator.bundles.signing import Signer
from services.orchestrator.store.bundles import BundleStore
from services.orchestrator.store.database import open_pool
from services.orchestrator.store.visit import visit_database
from tests.bench.scripted_stack import Stack, isolated
from tests.bundles.test_release import clinic

CLOCK = SystemClock()


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_call_keeps_the_version_it_began_with_and_a_rollback_acts_on_the_next_call(tmp_path):
    signer = Signer.create(tmp_path / "key.pem")
    with tempfile.TemporaryDirectory(prefix="tl") as folder:
        trusted = f"bundles.trusted_keys={signer.public.hex()}"
        stack = Stack(isolated(Path(folder), "agent.bundle=clinic", trusted))
        settings = stack.launch.settings
        async with visit_database(settings, CLOCK, create=True) as (dsn, _):
            store = BundleStore(await open_pool(dsn, settings))
            one = await store.publish(clinic("1.0.0"), signer, "ann")
            two = await store.publish(clinic("1.1.0", "Good day, Riverside clinic."), signer, "ann")
            await store.release("clinic", "prod", one, canary_percent=0, by="ann")
            store._pool.terminate()
        await stack.start(*local_services(settings))
        target = stack_target("sip", settings)
        try:
            async with (
                open_dialer(target, stack.launch, CLOCK, max_calls=3, codec="pcmu") as opened,
                Api(settings) as api,
                visit_database(settings, CLOCK) as (dsn, connection),
            ):
                store = BundleStore(await open_pool(dsn, settings))

                async def pinned() -> tuple[str, str]:
                    leg = await opened.dialer.dial(target.address)
                    call_id = await api.call_id(leg.peer_reference)
                    row = await connection.fetchrow("SELECT agent_digest FROM calls WHERE call_id = $1", call_id)
                    await leg.hangup()
                    return call_id, row["agent_digest"]

                first, digest = await pinned()
                assert digest == one.digest
                await store.release("clinic", "prod", two, canary_percent=0, by="ann")
                await _until(lambda: _digest(pinned), two.digest)
                await store.rollback("clinic", "prod", by="ann", reason="wording")
                await _until(lambda: _digest(pinned), one.digest)
                began = await connection.fetchval(
                    "SELECT entry::jsonb ->> 'bundle' FROM audit_entries WHERE entry::jsonb ->> 'call' = $1", first
                )
                assert began == one.digest
                actions = await connection.fetch("SELECT entry::jsonb ->> 'action' AS action FROM audit_entries")
                assert {"bundle.publish", "bundle.release", "bundle.rollback"} <= {row["action"] for row in actions}
                store._pool.terminate()
        finally:
            await stack.stop()


async def _digest(pinned):
    return (await pinned())[1]


async def _until(ask, wanted):
    """New calls get it within the time that the label is looked at and its sentences are spoken."""
    for _ in range(20):
        if await ask() == wanted:
            return
        await asyncio.sleep(0.3)
    raise AssertionError("new calls never got it")
