"""What people decide, and what is left open: decided once, done once, told honestly, whoever dies in between."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from services.common.errors import InvalidInputError
from services.orchestrator.bundles.checks import validate_directory
from services.orchestrator.control.reader import Reader
from services.orchestrator.control.recovery import Recovery
from services.orchestrator.store.reviews import ReviewError
from tests.control.world import address, block, call_world, judge, perform, read, read_back, refund
from tests.leaks import shows

BUNDLE, _ = validate_directory(Path(__file__).parents[2] / "deploy" / "agents" / "bank-retail")


@pytest.fixture
async def world(bank_home):
    async with call_world(BUNDLE, bank_home) as made:
        yield made


async def waiting(world):
    """A change of address of a vulnerable customer lies before people."""
    await world.bank.rows("UPDATE bank.customers SET vulnerable = true WHERE subject = 'c-1001'")
    call = await world.identified()
    await judge(call, address())
    (review,) = await world.room.reviewing.reviews.all()
    return review


def recovery(world, left_open_s=0.0):
    return Recovery(world.room, world.room.reviewing, world._load, left_open_s, 4 * 3600)


async def callbacks(world):
    return [(row.why, row.state) for row in await world.room.reviewing.callbacks.all()]


async def later(world, table="reviews", column="deadline", by="5 hours"):
    await world.pool.execute(f"UPDATE {table} SET {column} = {column} - interval '{by}'")


async def test_an_approved_act_is_done_once_and_somebody_calls_back(world):
    review = await waiting(world)
    reviewing = world.room.reviewing
    outcome = await reviewing.approve(review, "mia", review.request_hash, "spoke to the branch")
    assert outcome.state == "committed"
    assert await world.postings("address") == 1
    assert await callbacks(world) == [("approved", "committed")]
    with pytest.raises(ReviewError, match="approved by mia already"):
        await reviewing.approve(review, "tom", review.request_hash)
    await recovery(world).sweep()
    assert await world.postings("address") == 1


@pytest.mark.parametrize(
    ("what", "why"),
    [("hash", "request hash"), ("author", "somebody else"), ("late", "deadline"), ("nobody", "who decides")],
)
async def test_a_decision_that_does_not_count_does_nothing(world, what, why):
    review = await waiting(world)
    digest, by = review.request_hash, "mia"
    match what:
        case "hash":
            digest = "0" * 64
        case "author":
            by = review.author
        case "late":
            await later(world)
        case "nobody":
            by = " "
    with pytest.raises(ReviewError, match=why):
        await world.room.reviewing.approve(review, by, digest)
    assert await world.effects() == ["review"]
    assert await world.postings() == 0


async def test_a_refused_act_is_not_done_and_the_caller_is_told(world):
    review = await waiting(world)
    outcome = await world.room.reviewing.refuse(review, "mia", review.request_hash)
    assert (outcome.state, outcome.reason) == ("failed", "refused by a person")
    assert await callbacks(world) == [("refused", "failed")]
    assert await world.postings() == 0


async def test_an_expired_review_is_a_no_and_a_callback(world):
    await waiting(world)
    assert await recovery(world).sweep() == 0
    await later(world)
    await asyncio.gather(*(recovery(world).sweep() for _ in range(5)))
    assert await world.effects() == ["failed"]
    assert await callbacks(world) == [("expired", "failed")]
    assert await world.postings() == 0


async def test_the_rules_are_weighed_again_when_a_person_approves(world):
    review = await waiting(world)
    await world.bank.rows("UPDATE bank.customers SET vulnerable = false")
    rules = [rule for rule in BUNDLE.rules if rule.id == "identified-twice"]
    assert rules
    # Meanwhile the identification is worth less: what was asked at level 2 counts as level 0.
    row = await world.room.effects.get(review.effect_id)
    assert row.context["caller.auth_level"] == 2
    key = world.room.effects.keys.opened(row.call_id, await world.pool.fetchval("SELECT wrapped FROM control_calls"))
    changed = {"args": dict(row.request), "subject": row.subject, "context": {**row.context, "caller.auth_level": 0}}
    from services.orchestrator.store.records import to_jsonb

    await world.pool.execute("UPDATE effects SET request = $1", to_jsonb(key.seal(changed, f"{row.effect_id}/request")))
    outcome = await world.room.reviewing.approve(review, "mia", review.request_hash)
    assert (outcome.state, outcome.reason) == ("failed", "rule identified-twice")
    assert await world.postings() == 0


async def test_a_refund_over_the_months_sum_is_done_when_a_person_says_so(world):
    call = await world.identified()
    columns = "kind, subject, object, amount_minor, key"
    await world.bank.rows(f"INSERT INTO bank.postings ({columns}) VALUES ('refund', 'c-1001', 'x', 49000, 'k')")
    await read(call, "list_transactions")
    assert (await judge(call, refund())).verdict.rule == "refund-month"
    (review,) = await world.room.reviewing.reviews.all()
    outcome = await world.room.reviewing.approve(review, "mia", review.request_hash)
    assert outcome.state == "committed"
    assert await world.postings("refund") == 2


async def test_of_two_reviewers_at_once_one_decides(world):
    review = await waiting(world)
    reviewing = world.room.reviewing
    decisions = [reviewing.approve(review, f"r{n}", review.request_hash) for n in range(5)]
    decisions += [reviewing.refuse(review, f"n{n}", review.request_hash) for n in range(5)]
    answers = await asyncio.gather(*decisions, return_exceptions=True)
    counted = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert len(counted) == 1
    assert all(isinstance(answer, ReviewError) for answer in answers if isinstance(answer, BaseException))
    assert await world.postings("address") == (counted[0].state == "committed")
    assert len(await world.room.reviewing.callbacks.all()) == 1


async def test_several_calls_with_the_same_wish_are_one_review(world):
    await world.bank.rows("UPDATE bank.customers SET vulnerable = true")
    calls = [await world.identified(f"call-{n}") for n in range(8)]
    await asyncio.gather(*(judge(call, address()) for call in calls))
    assert len(await world.room.reviewing.reviews.all()) == 1


class KilledError(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("at", ["decided", "pending", "executing"])
async def test_a_reviewer_whose_process_dies_has_decided_all_the_same(world, at, monkeypatch):
    review = await waiting(world)
    reviewing = world.room.reviewing

    async def die(*args, **kwargs):
        raise KilledError

    with monkeypatch.context() as patched:
        if at == "decided":
            patched.setattr(type(reviewing), "follow_up", die)
        elif at == "pending":
            patched.setattr(Reader, "records", die)
        else:
            from services.orchestrator.control.backend import BackEnd

            one = BackEnd.one

            async def dies_on_writes(self, operation, args, timeout_s, key=""):
                if key:
                    await one(self, operation, args, timeout_s, key)
                    raise KilledError
                return await one(self, operation, args, timeout_s, key)

            patched.setattr(BackEnd, "one", dies_on_writes)
        with contextlib.suppress(KilledError):
            await reviewing.approve(review, "mia", review.request_hash)
    assert await world.effects() == [{"decided": "review"}.get(at, at)]
    await recovery(world).sweep()
    await recovery(world).sweep()
    assert await world.effects() == ["committed"]
    assert await world.postings("address") == 1
    assert [state for _, state in await callbacks(world)] == ["committed"]


async def test_a_worker_that_died_before_asking_for_a_review_has_asked_all_the_same(world):
    await waiting(world)
    await world.pool.execute("TRUNCATE reviews")
    await recovery(world).sweep()
    assert len(await world.room.reviewing.reviews.all()) == 1


async def test_an_act_whose_outcome_nobody_knew_is_settled_and_the_caller_called_back(world):
    call = await world.identified()
    await read(call, "list_cards")
    await world.bank.fault("drop", "blockCard", -1)
    await world.bank.fault("error", "getCardBlock", -1)
    assert (await perform(call, block(confidence=0.98), False)).outcome.state == "unknown"
    await recovery(world).sweep()
    assert await world.effects() == ["unknown"]
    await world.bank.heal()
    await recovery(world).sweep()
    assert await world.effects() == ["committed"]
    assert await callbacks(world) == [("settled", "committed")]
    assert await world.postings("block") == 1


async def test_one_act_that_cannot_be_settled_does_not_keep_others_waiting(world):
    call = await world.identified()
    await read(call, "list_cards")
    await world.bank.fault("drop", "blockCard", -1)
    await world.bank.fault("error", "getCardBlock", -1)
    for card in ("card-1", "card-2"):
        await perform(call, block(card, confidence=0.98), False)
    await world.pool.execute("UPDATE effects SET agent_digest = 'gone' WHERE ctid = (SELECT min(ctid) FROM effects)")
    await world.bank.heal()

    async def load(digest):
        if digest != BUNDLE.digest:
            raise InvalidInputError("digest", expected="a published bundle", got="none")
        return BUNDLE

    await Recovery(world.room, world.room.reviewing, load, 0.0, 4 * 3600).sweep()
    assert sorted(await world.effects()) == ["committed", "unknown"]


async def test_an_outcome_that_only_a_person_can_find_out_is_settled_without_sending_anything(world):
    review = await _unclear(world)
    reviewing = world.room.reviewing
    for wrong in (reviewing.approve, reviewing.refuse):
        with pytest.raises(ReviewError, match="whose outcome nobody knows"):
            await wrong(review, "mia", review.request_hash)
    outcome = await reviewing.settle(review, "mia", review.request_hash, done=True)
    assert outcome.state == "committed"
    assert await world.postings("block") == 1
    assert (await world.bank.rows("SELECT deliveries FROM bank.acts"))[0]["deliveries"] == 1


async def _unclear(world):
    call = await world.identified()
    await read(call, "list_cards")
    await perform(call, block(confidence=0.98), False)
    await world.pool.execute("UPDATE effects SET state = 'review', reason = 'nobody can say what became of it'")
    await recovery(world).sweep()
    (review,) = await world.room.reviewing.reviews.all()
    return review


async def test_a_callback_is_closed_once(world):
    review = await waiting(world)
    await world.room.reviewing.refuse(review, "mia", review.request_hash)
    store = world.room.reviewing.callbacks
    (promised,) = await store.all()
    await store.done(promised.callback_id, "tom", "reached her")
    assert await store.all() == []
    with pytest.raises(InvalidInputError, match="one that is open"):
        await store.done(promised.callback_id, "mia", "")


# ---- the audit


async def test_every_step_of_an_act_and_of_a_review_is_an_audit_entry_without_personal_data(world):
    review = await waiting(world)
    await world.room.reviewing.approve(review, "mia", review.request_hash, "ok, she said 7 Harbour Road")
    call = await world.identified("call-2")
    await read(call, "list_transactions")
    await judge(call, refund())
    read_back(call)
    await perform(call, refund())
    rows = await world.pool.fetch("SELECT body FROM audit_pending ORDER BY id")
    bodies = [row["body"] for row in rows]
    assert [body["action"] for body in bodies] == [
        "effect.pending", "effect.review", "review.asked", "review.approved", "effect.pending", "effect.executing",
        "effect.committed", "control.confirmed", "effect.pending", "effect.executing", "effect.committed",
    ]  # fmt: skip
    written = str(bodies)
    for personal in ("c-1001", "Harbour", "LS1", "txn-2", "1500", "4321"):
        assert not shows(written, personal)
    assert bodies[0]["personal"].keys() == {"subject", "request"}


# ---- sealing and erasure


async def test_what_acts_were_asked_with_is_sealed_and_gone_when_its_key_is(world):
    call = await world.identified()
    await read(call, "list_cards")
    first = await perform(call, block(confidence=0.98), False)
    kept = str(await world.pool.fetch("SELECT * FROM effects")) + str(
        await world.pool.fetch("SELECT * FROM control_calls")
    )
    for personal in ("c-1001", "card-1", "4417", "+44163"):
        assert not shows(kept, personal)
    keys = world.room.effects.keys
    assert await keys.erase("call-1", "privacy", "asked for by the customer")
    assert not await keys.erase("call-1", "privacy", "again")
    (row,) = await world.worker().effects.of_call("call-1")
    assert (row.erased, row.state, dict(row.request), dict(row.answer), row.subject) == (True, "committed", {}, {}, "")
    # The act is still the act: not done twice, and other details are still other details.
    again = await world.identified("call-2")
    await read(again, "list_cards")
    second = await perform(again, block(confidence=0.98), False)
    assert second.outcome.effect_id == first.outcome.effect_id
    assert (await perform(again, block(reason="stolen", confidence=0.98), False)).mismatch
    assert await world.postings("block") == 1


async def test_data_of_an_act_that_is_open_are_not_erased(world):
    await waiting(world)
    with pytest.raises(InvalidInputError, match="whose acts are settled"):
        await world.room.effects.keys.erase("call-1", "privacy", "asked")


async def test_another_sites_key_opens_nothing_and_says_so(world):
    from services.common.errors import SettingsError
    from services.records.data_keys import KeyRing

    await waiting(world)
    with pytest.raises(SettingsError, match=r"seal_key_file"):
        await world.worker(KeyRing(bytes(32))).effects.of_call("call-1")


async def test_a_sealed_value_opens_in_its_own_place_only(world):
    from services.common.errors import SettingsError
    from services.records.data_keys import KeyRing

    ring = KeyRing(bytes(32))
    key, wrapped = ring.new("call-1")
    sealed = key.seal({"a": 1}, "e1/request")
    assert ring.unwrap("call-1", wrapped).open(sealed, "e1/request") == {"a": 1}
    for wrong in (lambda: key.open(sealed, "e2/request"), lambda: ring.unwrap("call-2", wrapped)):
        with pytest.raises(SettingsError):
            wrong()


async def test_a_new_key_seals_older_ones_open_and_acts_keep_their_hashes(world):
    from services.records.data_keys import KeyRing

    await waiting(world)
    old, new = bytes(range(32)), bytes(range(1, 33))
    rotated = world.worker(KeyRing(old, new))
    [row] = await rotated.effects.of_call("call-1")
    assert not row.erased
    assert KeyRing(old, new).hash_key == KeyRing(old).hash_key
    assert await rotated.effects.keys.rewrap("test") == 1
    assert await rotated.effects.keys.rewrap("test") == 0
    [again] = await world.worker(KeyRing(bytes(32), new)).effects.of_call("call-1")
    assert again.request == row.request
    told = await world.pool.fetch("SELECT FROM audit_pending WHERE body->>'action' = 'control.rewrapped'")
    assert len(told) == 1


async def test_the_key_of_an_erased_call_is_not_wrapped_anew(world):
    from services.records.data_keys import KeyRing

    rotated = world.worker(KeyRing(bytes(range(32)), bytes(range(1, 33))))
    call = await world.identified()
    await call.close()
    assert await world.room.effects.keys.erase("call-1", "privacy", "asked")
    assert await rotated.effects.keys.rewrap("test") == 0


@pytest.mark.parametrize(
    ("text", "problem"),
    [("", "a key that seals"), ("open:" + "00" * 32, "a key that seals"), ("00" * 31, "32 bytes"), ("zz", "32 bytes")],
)
def test_a_key_file_that_cannot_be_read_says_what_it_wants(text, problem):
    from services.common.errors import SettingsError
    from services.records.keys import parse_key_ring

    with pytest.raises(SettingsError, match=problem):
        parse_key_ring(text, "seal.key")


def test_a_key_that_only_opens_seals_nothing_yet():
    from services.records.keys import parse_key_ring

    old, new = "00" * 32, "11" * 32
    _, wrapped = parse_key_ring(f"{old}\nopen:{new}", "seal.key").new("call-1")
    assert parse_key_ring(old, "seal.key").rewrapped("call-1", wrapped) is None
    assert parse_key_ring(f"{old}\n{new}", "seal.key").rewrapped("call-1", wrapped) is not None
