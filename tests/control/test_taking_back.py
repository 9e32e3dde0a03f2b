"""A waiting act is taken back by whose it is, or executed: one of the two, whoever is first, and on record."""

import asyncio
import json

import pytest

from services.common.personal import Personal
from services.orchestrator.dialogue.model import FindWaiting, TakeBack
from tests.control.conftest import as_on_the_first_day
from tests.control.test_queued import (
    BUNDLE,
    away,
    back,
    block_while_away,
    callbacks,
    refund_while_its_breaker_is_open,
    sweep,
)
from tests.control.world import PIN, block, call_world, perform, read, refund


@pytest.fixture
async def world(bank_home):
    async with call_world(BUNDLE, bank_home) as made:
        yield made


async def waiting(call, *tools):
    return (await call.waiting(FindWaiting(7, tools or ("block_card", "create_refund")))).acts


async def take_back(call, effect_id):
    return (await call.take_back(TakeBack(8, effect_id))).how


async def reasons(world):
    rows = await world.pool.fetch("SELECT body FROM audit_pending WHERE body->>'action' = 'effect.failed'")
    return [json.dumps(row["body"]) for row in rows]


async def test_what_waits_is_found_taken_back_on_record_and_never_done(world):
    call, outcome = await block_while_away(world)
    [act] = await waiting(call)
    assert (act.effect_id, act.tool) == (outcome.effect_id, "block_card")
    assert await take_back(call, act.effect_id) == "taken back"
    back(world)
    await sweep(world)
    assert await world.effects() == ["failed"]
    assert await world.postings() == 0
    assert await callbacks(world) == []
    assert "taken back by the caller" in "".join(await reasons(world))
    await call.close()
    assert "control.take_back" in world.notes.actions()
    assert await waiting(call) == ()


async def test_what_was_done_meanwhile_stays_done_and_is_said_to_be(world):
    call, outcome = await block_while_away(world)
    back(world)
    await sweep(world)
    assert await take_back(call, outcome.effect_id) == "done"
    assert await world.effects() == ["committed"]
    assert await world.postings("block") == 1


async def test_in_another_call_it_takes_the_secret(world):
    _, outcome = await block_while_away(world)
    back(world)
    later = await world.identified("call-2", level=1)
    [act] = await waiting(later)
    assert act.level == 2
    assert await take_back(later, outcome.effect_id) == "ended"
    assert await world.effects() == ["queued"]
    assert (await later.identify(Personal(PIN))).level == 2
    assert await take_back(later, outcome.effect_id) == "taken back"
    assert await world.effects() == ["failed"]


async def test_nobody_finds_or_takes_back_what_is_not_theirs(world):
    _, outcome = await block_while_away(world)
    stranger = world.call("call-3", "+440000000000")
    stranger.caller.subject, stranger.caller.level = "c-9999", 2
    assert await waiting(stranger) == ()
    assert await take_back(stranger, outcome.effect_id) == "ended"
    unknown = world.call("call-4", "")
    assert await waiting(unknown) == ()
    assert await take_back(unknown, outcome.effect_id) == "ended"
    assert await world.effects() == ["queued"]


async def test_asked_for_again_after_that_it_needs_a_confirmation_of_its_own(world):
    breaker, outcome = await refund_while_its_breaker_is_open(world)
    breaker.succeeded()
    call = await world.identified("call-1")
    await call.restore({})
    assert await take_back(call, outcome.effect_id) == "taken back"
    again = (await perform(call, refund(), True)).outcome
    assert (again.state, again.reason.startswith("rule confirmation")) == ("failed", True)
    assert await world.postings() == 0


@pytest.mark.parametrize("first", ["caller", "worker"])
async def test_of_a_caller_and_a_worker_at_once_one_wins_and_both_agree(world, bank_home, first):
    """Two workers try it while the caller takes it back, over and over; the books and the answers agree each time."""
    for number in range(6):
        await as_on_the_first_day(*bank_home)
        call = await world.identified(f"call-{first}-{number}")
        await read(call, "list_cards")
        away(world)
        outcome = (await perform(call, block(confidence=0.98), False)).outcome
        other = world.worker()
        back(world)
        taking = take_back(call, outcome.effect_id)
        if first == "caller":
            how, *_ = await asyncio.gather(taking, sweep(world, other), sweep(world))
        else:
            *_, how = await asyncio.gather(sweep(world, other), sweep(world), taking)
        [state] = await world.effects()
        assert (how, state, await world.postings("block")) in [("taken back", "failed", 0), ("done", "committed", 1)]


async def test_a_row_that_is_not_queued_any_more_is_not_taken_back_even_by_who_read_it_before(world):
    call, outcome = await block_while_away(world)
    room = world.room
    stale = await room.effects.get(outcome.effect_id)
    back(world)
    await sweep(world)
    executor = room.executor(room.backend("bank-retail"))
    assert (await executor.take_back(BUNDLE, stale, "too late")).state == "committed"
    assert (await perform(call, block(confidence=0.98), False)).outcome.state == "committed"
    assert await world.postings("block") == 1
