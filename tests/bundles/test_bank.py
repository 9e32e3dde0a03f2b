"""The example bank keeps its contract, acts once per key, and misbehaves exactly as told."""

import asyncio
from pathlib import Path

import aiohttp
import pytest
from jsonschema_rs import validator_for
from ruamel.yaml import YAML

from services.cli.caller_role import free_ports
from tests.bundles.bank import running_bank
from tests.store.conftest import empty, server  # noqa: F401  # fixtures

CONTRACT = YAML(typ="safe").load(
    (Path(__file__).parents[2] / "deploy/agents/bank-retail/openapi/bank.yaml").read_text()
)
REFUND = {"subject": "c-1001", "txn_id": "txn-2", "amount_minor": 1500, "currency": "GBP"}
BLOCK = {"subject": "c-1001", "card_id": "card-1", "reason": "lost"}


@pytest.fixture
async def bank(empty):  # noqa: F811
    async with running_bank(empty, free_ports(1)[0]) as running:
        yield running


@pytest.fixture
async def http():
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        yield session


def key(number: int) -> dict[str, str]:
    return {"Idempotency-Key": f"test-key-{number:08d}"}


def holds(schema: str, answer: object) -> None:
    document = {"$ref": f"#/components/schemas/{schema}", "components": CONTRACT["components"]}
    validator_for(document).validate(answer)


async def post(http, url, body, headers):
    async with http.post(url, json=body, headers=headers) as answer:
        return answer.status, await answer.json()


async def test_answers_are_as_the_contract_says(bank, http):
    for path, schema in (("cards", "Card"), ("transactions", "Transaction")):
        async with http.get(f"{bank.url}/customers/c-1001/{path}") as answer:
            rows = await answer.json()
        assert rows
        for row in rows:
            holds(schema, row)
    async with http.get(f"{bank.url}/customers/c-1001/balance") as answer:
        holds("Balance", await answer.json())
    status, blocked = await post(http, f"{bank.url}/card-blocks", BLOCK, key(1))
    assert status == 201
    holds("CardBlock", blocked)
    status, refunded = await post(http, f"{bank.url}/refunds", REFUND, key(2))
    assert status == 201
    holds("Refund", refunded)
    async with http.get(f"{bank.url}/refunds/by-key/{key(2)['Idempotency-Key']}") as answer:
        assert await answer.json() == refunded
    async with http.get(f"{bank.url}/refunds/by-key/never-was-there-0") as answer:
        assert answer.status == 404


async def test_the_same_key_acts_once_and_with_another_payload_not_at_all(bank, http):
    url = f"{bank.url}/refunds"
    answers = await asyncio.gather(*(post(http, url, REFUND, key(1)) for _ in range(20)))
    assert {status for status, _ in answers} == {201}
    assert len({answer["reference"] for _, answer in answers}) == 1
    status, _ = await post(http, url, {**REFUND, "amount_minor": 1}, key(1))
    assert status == 409
    postings = await bank.rows("SELECT amount_minor FROM bank.postings")
    assert [row["amount_minor"] for row in postings] == [1500]


async def test_a_refund_never_gives_back_more_than_was_paid(bank, http):
    url = f"{bank.url}/refunds"
    assert (await post(http, url, {**REFUND, "amount_minor": 4000}, key(1)))[0] == 201
    assert (await post(http, url, {**REFUND, "amount_minor": 2000}, key(2)))[0] == 422
    assert (await post(http, url, {**REFUND, "txn_id": "txn-4", "amount_minor": 1}, key(3)))[0] == 422
    assert (await post(http, url, {**REFUND, "currency": "EUR"}, key(4)))[0] == 422


@pytest.mark.parametrize("mode", ["error", "down"])
async def test_a_fault_before_the_act_does_nothing(bank, http, mode):
    await bank.fault(mode, "createRefund")
    if mode == "error":
        assert (await post(http, f"{bank.url}/refunds", REFUND, key(1)))[0] == 500
    else:
        with pytest.raises(aiohttp.ClientError):
            await post(http, f"{bank.url}/refunds", REFUND, key(1))
    assert await bank.rows("SELECT 1 FROM bank.postings") == []
    assert (await post(http, f"{bank.url}/refunds", REFUND, key(1)))[0] == 201


async def test_a_dropped_answer_was_done_and_its_key_tells(bank, http):
    await bank.fault("drop", "createRefund")
    with pytest.raises(aiohttp.ClientError):
        await post(http, f"{bank.url}/refunds", REFUND, key(1))
    async with http.get(f"{bank.url}/refunds/by-key/{key(1)['Idempotency-Key']}") as answer:
        assert (await answer.json())["amount_minor"] == 1500


async def test_a_duplicate_delivery_is_one_posting(bank, http):
    await bank.fault("duplicate", "createRefund")
    assert (await post(http, f"{bank.url}/refunds", REFUND, key(1)))[0] == 201
    assert len(await bank.rows("SELECT 1 FROM bank.postings")) == 1
    assert [row["deliveries"] for row in await bank.rows("SELECT deliveries FROM bank.acts")] == [2]


async def test_a_stale_read_is_from_before_the_write(bank, http):
    url = f"{bank.url}/customers/c-1001/balance"
    async with http.get(url) as answer:
        before = (await answer.json())["available_minor"]
    await post(http, f"{bank.url}/refunds", REFUND, key(1))
    await bank.fault("stale", "getBalance")
    async with http.get(url) as answer:
        assert (await answer.json())["available_minor"] == before
    async with http.get(url) as answer:
        assert (await answer.json())["available_minor"] == before + 1500


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"{" * 10_000, b'{"subject": 1}', b'{"subject": "c-1001", "txn_id": "txn-2"}']
)
async def test_a_malformed_request_is_refused_by_name(bank, http, body):
    async with http.post(f"{bank.url}/refunds", data=body, headers=key(1)) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]
