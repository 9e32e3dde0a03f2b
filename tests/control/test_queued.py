"""Acts that wait for their back end: kept, told, tried again under the same key, done at most once, or given up."""

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path

import pytest

from services.orchestrator.bundles.checks import validate_directory
from services.orchestrator.control.recovery import Recovery
from services.orchestrator.store.effects import EffectStore
from tests.control.test_execute import DyingStore, KilledError
from tests.control.world import RING, block, call_world, judge, perform, read, read_back, refund

BANK, _ = validate_directory(Path(__file__).parents[2] / "deploy" / "agents" / "bank-retail")
MONEY = BANK.tools["create_refund"]
# Refunds that wait too: their rules ask the back end for facts, those of a blocked card do not.
BUNDLE = replace(
    BANK,
    tools={
        **BANK.tools,
        "create_refund": MONEY.model_copy(update={"degrade": MONEY.degrade.model_copy(update={"queue": True})}),
    },
)
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
async def world(bank_home):
    async with call_world(BUNDLE, bank_home) as made:
        yield made


def away(world, room=None):
    (room or world.room).backend("bank-retail")._base = NOWHERE


def back(world, room=None):
    (room or world.room).backend("bank-retail")._base = world.bank.url


async def sweep(world, room=None, queue_s=4 * 3600):
    room = room or world.room
    await Recovery(room, world.room.reviewing, world._load, 0.0, queue_s).sweep()


async def callbacks(world):
    return [(row.why, row.state, row.reason) for row in await world.room.reviewing.callbacks.all()]


async def block_while_away(world):
    call = await world.identified()
    await read(call, "list_cards")
    away(world)
    done = await perform(call, block(confidence=0.98), False)
    return call, done.outcome


async def refund_while_its_breaker_is_open(world):
    call = await world.identified()
    await read(call, "list_transactions")
    await judge(call, refund())
    read_back(call)
    breaker = world.room.breakers.of("create_refund", MONEY)
    for _ in range(MONEY.breaker.failures):
        breaker.failed(world.room.clock.now_ns())
    outcome = (await perform(call, refund())).outcome
    return breaker, outcome


async def test_an_act_whose_back_end_is_away_waits_and_is_done_once_it_is_back(world):
    _, outcome = await block_while_away(world)
    assert (outcome.state, outcome.reason) == ("queued", "unreached")
    await sweep(world)
    assert await world.effects() == ["queued"]
    assert await callbacks(world) == []
    back(world)
    await sweep(world)
    await sweep(world)
    assert await world.effects() == ["committed"]
    assert await world.postings("block") == 1
    assert await callbacks(world) == [("settled", "committed", "")]
    told = await world.pool.fetch(
        "SELECT body->>'action' AS action FROM audit_pending WHERE body->>'action' LIKE 'effect.%' ORDER BY ctid"
    )
    assert [row["action"] for row in told][:3] == ["effect.pending", "effect.executing", "effect.queued"]
    assert [row["action"] for row in told][-2:] == ["effect.executing", "effect.committed"]


async def test_an_open_breaker_makes_it_wait_and_its_rules_are_asked_on_the_facts_of_then(world):
    breaker, outcome = await refund_while_its_breaker_is_open(world)
    assert (outcome.state, outcome.reason) == ("queued", "breaker open")
    await world.bank.rows("UPDATE bank.transactions SET refundable = false WHERE txn_id = 'txn-2'")
    breaker.succeeded()
    await sweep(world)
    assert await world.effects() == ["failed"]
    assert [(why, state) for why, state, _ in await callbacks(world)] == [("settled", "failed")]
    assert await world.postings() == 0


async def test_rules_whose_facts_cannot_be_had_are_not_decided_meanwhile(world):
    breaker, _ = await refund_while_its_breaker_is_open(world)
    breaker.succeeded()
    away(world)
    await sweep(world)
    assert await world.effects() == ["queued"]
    back(world)
    await sweep(world)
    assert await world.effects() == ["committed"]
    assert await world.postings("refund") == 1


@pytest.mark.parametrize(("age", "queue_s"), [("5 hours", 4 * 3600), ("25 hours", 400 * 3600)])
async def test_what_has_waited_too_long_is_not_done_and_the_caller_is_called(world, age, queue_s):
    await block_while_away(world)
    await world.pool.execute("UPDATE effects SET created_at = created_at - $1::text::interval", age)
    await world.pool.execute("UPDATE effects SET changed_at = changed_at - interval '2 minutes'")
    back(world)
    await sweep(world, queue_s=queue_s)
    assert await world.effects() == ["failed"]
    assert await callbacks(world) == [("settled", "failed", "waited too long")]
    assert await world.postings() == 0


async def test_who_asks_again_has_it_done_now_and_it_is_still_one_act(world):
    call, first = await block_while_away(world)
    back(world)
    again = (await perform(call, block(confidence=0.98), False)).outcome
    assert (again.state, again.effect_id) == ("committed", first.effect_id)
    await sweep(world)
    assert await world.postings("block") == 1


@pytest.mark.parametrize("fault", [None, "drop"])
@pytest.mark.parametrize(("at", "after"), [(n, after) for n in (1, 2) for after in (False, True)])
async def test_a_worker_killed_while_it_tries_again_leaves_one_act(world, fault, at, after):
    call, _ = await block_while_away(world)
    back(world)
    if fault:
        await world.bank.fault(fault, "blockCard", 1)

    class Dying(DyingStore):
        def __init__(self):
            EffectStore.__init__(self, world.pool, RING)
            self.left, self.after = at, after

    room = world.worker()
    room.effects = Dying()
    with contextlib.suppress(KilledError):
        await sweep(world, room)
    others = [sweep(world, world.worker()) for _ in range(5)]
    asking = [perform(call, block(confidence=0.98), False) for _ in range(5)]
    await asyncio.gather(*others, *asking)
    await sweep(world)
    assert await world.effects() == ["committed"]
    assert await world.postings("block") == 1
