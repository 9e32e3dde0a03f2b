"""The state of a dialogue in a real database: one writer, taken over, found again, erased."""

import pytest

from services.common.personal import Personal
from services.orchestrator.dialogue.codec import StateError
from services.orchestrator.dialogue.ports import TakenOverError
from services.orchestrator.store.dialogue import DialogueStore
from tests.dialogue.core.scripted import Desk, give, money, new, start, turn
from tests.store.conftest import pool, server  # noqa: F401  # fixtures

CALLER = Personal("sip:+441632960011@example")


@pytest.fixture
async def store(pool):  # noqa: F811
    await pool.execute("TRUNCATE dialogues")
    return DialogueStore(pool)


def talked():
    desk, dialogue = new(Desk())
    desk.talk(dialogue, [turn(start("refund"), give("txn", "blue kettle cafe"), give("amount", money(7.5)))])
    return dialogue.state


async def test_what_is_written_is_what_is_read(store):
    writer = await store.begin("call-1", "d" * 64, "en-GB", CALLER)
    state = talked()
    await writer.save(state)
    stored = await store.load("call-1")
    assert stored.state == state
    assert (stored.version, stored.agent_digest, stored.locale) == (1, "d" * 64, "en-GB")


async def test_who_takes_over_is_the_only_writer_from_then_on(store):
    first = await store.begin("call-1", "d" * 64, "en-GB", CALLER)
    await first.save(talked())
    stored, second = await store.take("call-1")
    with pytest.raises(TakenOverError):
        await first.save(talked())
    await second.save(stored.state)
    _, third = await store.take("call-1")
    with pytest.raises(TakenOverError):
        await second.save(stored.state)
    await third.save(stored.state)


async def test_a_call_has_one_dialogue(store):
    await store.begin("call-1", "d" * 64, "en-GB", CALLER)
    with pytest.raises(TakenOverError):
        await store.begin("call-1", "d" * 64, "en-GB", CALLER)


async def test_a_write_that_comes_late_does_not_undo_a_later_one(store, pool):  # noqa: F811
    writer = await store.begin("call-1", "d" * 64, "en-GB", CALLER)
    await writer.save(talked())
    await pool.execute("UPDATE dialogues SET version = 9")
    with pytest.raises(TakenOverError):
        await writer.save(talked())


async def test_a_caller_who_was_cut_off_is_found_for_a_while(store, pool):  # noqa: F811
    await store.begin("call-1", "d" * 64, "en-GB", CALLER)
    assert await store.waiting(CALLER, 300) == "call-1"
    assert await store.waiting(Personal("sip:other@example"), 300) is None
    assert await store.waiting(Personal(""), 300) is None
    await pool.execute("UPDATE dialogues SET changed_at = now() - interval '10 minutes'")
    assert await store.waiting(CALLER, 300) is None


async def test_what_ended_is_not_gone_on_with(store):
    await store.begin("call-1", "d" * 64, "en-GB", CALLER)
    await store.end("call-1")
    assert await store.waiting(CALLER, 300) is None
    assert await store.take("call-1") is None


async def test_personal_data_lies_in_one_column_and_erasing_it_leaves_how_the_goals_went(store, pool):  # noqa: F811
    writer = await store.begin("call-1", "d" * 64, "en-GB", CALLER)
    await writer.save(talked())
    row = await pool.fetchrow("SELECT * FROM dialogues")
    for words in ("blue kettle", "750", "c-1001", "txn-1", "Blue Kettle", "441632960011"):
        assert not any(words in str(row[column]) for column in row.keys() if column != "personal"), words  # noqa: SIM118
    assert await store.erase("call-1") is True
    assert await store.erase("call-1") is False
    with pytest.raises(TakenOverError):
        await writer.save(talked())
    with pytest.raises(StateError, match="erased"):
        await store.load("call-1")
    kept = await pool.fetchval("SELECT state FROM dialogues")
    assert kept["frames"][0]["goal"] == "refund"
    assert await store.waiting(CALLER, 300) is None


async def test_a_state_of_another_schema_is_refused_with_what_to_do(store, pool):  # noqa: F811
    await store.begin("call-1", "d" * 64, "en-GB", CALLER)
    await pool.execute("UPDATE dialogues SET state = jsonb_set(state, '{schema}', '99')")
    with pytest.raises(StateError, match="schema 99"):
        await store.load("call-1")
