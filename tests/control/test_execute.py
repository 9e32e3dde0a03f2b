"""Acts against a real bank and a real database: exactly one, whatever is repeated, broken, killed or raced."""

import asyncio
import contextlib
import itertools
import random
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from services.common.clock import SystemClock
from services.common.settings import load_settings
from services.orchestrator.bundles.checks import validate_directory
from services.orchestrator.control.backend import BackEnd
from services.orchestrator.control.execute import Executor, PayloadMismatchError
from services.orchestrator.control.keys import business_key, request_hash
from services.orchestrator.control.model import Allowed, Denied
from services.orchestrator.store.database import open_pool
from services.orchestrator.store.effects import EffectStore, HeldEffects, NewEffect
from tests.control.conftest import as_on_the_first_day

BUNDLE, _ = validate_directory(Path(__file__).parents[2] / "deploy" / "agents" / "bank-retail")
# Fast deadlines: the tests wait for them.
BUNDLE = replace(
    BUNDLE, tools={name: tool.model_copy(update={"timeout_ms": 400}) for name, tool in BUNDLE.tools.items()}
)
NUMBER = itertools.count(1)


def refund(amount: int = 1500, txn: str = "txn-2", currency: str = "GBP") -> NewEffect:
    args = {"subject": "c-1001", "txn_id": txn, "amount_minor": amount, "currency": currency}
    return NewEffect(
        effect_id=f"e-{next(NUMBER)}",
        idempotency_key=business_key("bank-retail", "create_refund", BUNDLE.tools["create_refund"], "c-1001", args),
        window_s=3600,
        request_hash=request_hash("create_refund", args),
        call_id="call-1",
        turn=3,
        agent_digest="d" * 64,
        tool="create_refund",
        request=args,
    )


async def allow():
    return Allowed(("refundable",))


class World:
    """A bank, our database, and executors as workers would have them."""

    def __init__(self, bank, pool, http):
        self.bank, self.pool, self.http = bank, pool, http
        self.effects = EffectStore(pool)

    def worker(self, effects=None, backend=None) -> Executor:
        return Executor.over(
            effects or self.effects, backend or BackEnd(self.bank.url, self.http, SystemClock()), SystemClock()
        )

    async def refund(self, executor=None, new=None, recheck=allow):
        return await (executor or self.worker()).run(BUNDLE, new or refund(), "c-1001", recheck)

    async def recover_all(self):
        for row in await self.effects.left_open(0):
            await self.worker().recover(BUNDLE, row, "c-1001")

    async def postings(self) -> int:
        return len(await self.bank.rows("SELECT 1 FROM bank.postings WHERE kind = 'refund'"))

    async def clean(self) -> None:
        """As on the first day."""
        await as_on_the_first_day(self.bank.dsn, self.bank)


@pytest.fixture
async def world(bank_home):
    dsn, bank = bank_home
    await as_on_the_first_day(dsn, bank)
    settings = load_settings(env={}, overrides={"database": {"pool_size": 8}})
    async with aiohttp.ClientSession() as http:
        pool = await open_pool(dsn, settings)
        yield World(bank, pool, http)
        pool.terminate()
        await asyncio.sleep(0)


async def test_an_act_is_committed_with_what_the_back_end_answered(world):
    outcome = await world.refund()
    assert outcome.state == "committed"
    assert outcome.answer["amount_minor"] == 1500
    assert outcome.answer["reference"]
    assert await world.postings() == 1


@pytest.mark.parametrize("fault", [None, "drop", "error", "duplicate", "down", "latency"])
async def test_fifty_at_once_are_one_act_whatever_the_back_end_does(world, fault):
    if fault:
        await world.bank.fault(fault, "createRefund", 1, 700)
    outcomes = await asyncio.gather(*(world.refund(world.worker()) for _ in range(50)))
    await world.recover_all()
    assert await world.postings() == 1
    last = await world.refund()
    assert last.state == "committed"
    assert {o.answer["reference"] for o in outcomes if o.state == "committed"} <= {last.answer["reference"]}
    assert await world.postings() == 1


async def test_the_same_act_with_other_arguments_is_refused_and_nothing_more_is_done(world):
    await world.refund()
    with pytest.raises(PayloadMismatchError):
        await world.refund(new=refund(currency="EUR"))
    assert await world.postings() == 1


async def test_a_refusal_fails_for_certain_and_may_be_tried_again(world):
    first = await world.refund(new=refund(amount=9_999))
    assert (first.state, first.reason) == ("failed", "refused 422")
    second = await world.refund(new=refund(amount=9_999))
    assert second.effect_id != first.effect_id
    assert await world.postings() == 0


@pytest.mark.parametrize(("how", "state"), [("deny", "failed"), ("human_review", "review")])
async def test_policy_is_asked_again_at_the_last_moment_and_nothing_is_sent(world, how, state):
    async def changed_meanwhile():
        return Denied("refund-month", how, None)

    outcome = await world.refund(recheck=changed_meanwhile)
    assert (outcome.state, outcome.reason) == (state, "rule refund-month")
    assert await world.postings() == 0


async def test_an_unreachable_bank_fails_for_certain_then_its_breaker_opens(world):
    worker = world.worker(backend=BackEnd("http://127.0.0.1:1", world.http, SystemClock()))
    reasons = [(await world.refund(worker)).reason for _ in range(6)]
    assert reasons == ["unreached"] * 5 + ["breaker open"]
    assert await world.postings() == 0


async def test_when_nobody_can_say_what_became_of_it_a_person_looks_and_it_is_not_sent_again(world):
    tool = BUNDLE.tools["create_refund"].model_copy(update={"status": None})
    contract = replace(BUNDLE.contracts[tool.contract], takes_idempotency_key=False)
    bundle = replace(
        BUNDLE, tools={**BUNDLE.tools, "create_refund": tool}, contracts={**BUNDLE.contracts, tool.contract: contract}
    )

    await world.bank.fault("drop", "createRefund", -1)
    worker = world.worker()
    # Without a key the bank refuses the request, so let it take one and only our own knowledge of it is gone.
    worker.backend = _KeyedBackEnd(world.bank.url, world.http, SystemClock())
    outcome = await worker.run(bundle, refund(), "c-1001", allow)
    assert outcome.state == "review"
    again = await worker.run(bundle, refund(), "c-1001", allow)
    assert again.state == "review"
    assert await world.postings() == 1
    assert (await world.bank.rows("SELECT deliveries FROM bank.acts"))[0]["deliveries"] == 1


class _KeyedBackEnd(BackEnd):
    """Puts a key on the wire although the contract that our side knows says nothing of it."""

    async def one(self, operation, args, timeout_s, key=""):
        return await super().one(replace(operation, takes_idempotency_key=True), args, timeout_s, key)


class KilledError(BaseException):
    """The worker dies here."""


class DyingStore(EffectStore):
    """Dies before or after the n-th move of an effect."""

    def __init__(self, pool, at: int, after: bool):
        super().__init__(pool)
        self.left, self.after = at, after

    @contextlib.asynccontextmanager
    async def locked(self, names, wait_s):
        async with super().locked(names, wait_s) as held:
            yield _DyingHeld(held._connection, self)


class _DyingHeld(HeldEffects):
    def __init__(self, connection, store):
        super().__init__(connection, store)
        self._store = store

    async def move(self, *args, **kwargs):
        self._store.left -= 1
        if self._store.left == 0 and not self._store.after:
            raise KilledError
        row = await super().move(*args, **kwargs)
        if self._store.left == 0:
            raise KilledError
        return row


class DyingBackEnd(BackEnd):
    """Dies when the answer has come, before anything is written down."""

    async def one(self, operation, args, timeout_s, key=""):
        await super().one(operation, args, timeout_s, key)
        raise KilledError


@pytest.mark.parametrize("fault", [None, "drop", "latency"])
@pytest.mark.parametrize(("at", "after"), [(n, after) for n in (1, 2, 3) for after in (False, True)])
async def test_a_worker_killed_at_any_step_leaves_one_act_or_none_and_the_row_says_which(world, fault, at, after):
    if fault:
        await world.bank.fault(fault, "createRefund", 1, 700)
    with contextlib.suppress(KilledError):
        await world.refund(world.worker(effects=DyingStore(world.pool, at, after)))
    await asyncio.sleep(0.4 if fault == "latency" else 0)
    before = await world.postings()
    many = 50 if fault is None else 10
    duplicates = await asyncio.gather(*(world.refund() for _ in range(many)))
    await world.recover_all()
    assert before <= 1
    assert await world.postings() == 1
    # On a slow machine a second delivery may be unclear too: that is said, and settled later.
    assert {outcome.state for outcome in duplicates} <= {"committed", "unknown"}
    assert (await world.refund()).state == "committed"
    assert await world.postings() == 1


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", [1, 2, 3])
async def test_fifty_at_once_of_which_every_second_dies_at_a_step_are_one_act(world, at, after):
    async def one(number: int) -> None:
        store = DyingStore(world.pool, at, after) if number % 2 else None
        with contextlib.suppress(KilledError):
            await world.refund(world.worker(effects=store))

    await asyncio.gather(*(one(number) for number in range(50)))
    await world.recover_all()
    assert await world.postings() == 1
    assert [row.state for row in await world.effects.of_call("call-1")].count("committed") == 1


async def test_a_worker_killed_between_answer_and_row_is_settled_by_the_next_one(world):
    with pytest.raises(KilledError):
        await world.refund(world.worker(backend=DyingBackEnd(world.bank.url, world.http, SystemClock())))
    assert [row.state for row in await world.effects.left_open(0)] == ["executing"]
    await world.recover_all()
    assert [row.state for row in await world.effects.of_call("call-1")] == ["committed"]
    assert await world.postings() == 1


async def test_what_was_never_sent_is_not_sent_by_recovery(world):
    async with world.effects.locked(["x"], 1) as held:
        await held.begin(refund())
    await world.recover_all()
    assert [row.state for row in await world.effects.of_call("call-1")] == ["failed"]
    assert await world.postings() == 0


async def test_a_cancelled_caller_does_not_tear_an_act_apart(world):
    await world.bank.fault("latency", "createRefund", 1, 200)
    task = asyncio.ensure_future(world.refund())
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(0.3)
    await world.recover_all()
    assert await world.postings() == 1
    assert (await world.refund()).state == "committed"


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(3))
async def test_random_faults_deaths_and_races_never_act_twice_and_never_lie(world, seed):
    chance = random.Random(seed)
    for _ in range(10):
        await world.clean()
        for _ in range(chance.randrange(3)):
            await world.bank.fault(
                chance.choice(["drop", "error", "duplicate", "down", "latency"]),
                chance.choice(["createRefund", "getRefund", "*"]),
                chance.randrange(1, 3),
                chance.choice([50, 600]),
            )

        async def one(chance: random.Random = chance):
            store = (
                DyingStore(world.pool, chance.randrange(1, 6), chance.random() < 0.5) if chance.random() < 0.5 else None
            )
            with contextlib.suppress(KilledError):
                return await world.refund(world.worker(effects=store))
            return None

        told = [outcome for outcome in await asyncio.gather(*(one() for _ in range(chance.randrange(1, 6)))) if outcome]
        await world.bank.heal()
        await asyncio.sleep(0.6)
        await world.recover_all()
        done = await world.postings()
        rows = await world.effects.of_call("call-1")
        assert done <= 1
        assert sum(row.state == "committed" for row in rows) == done
        assert not [row for row in rows if row.state in ("executing", "unknown", "pending")]
        assert done or not [outcome for outcome in told if outcome.state == "committed"]
