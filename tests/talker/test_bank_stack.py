"""The example bank beside a stack: made afresh, its agent released, its back end up, its books and audit readable."""

import tempfile
from pathlib import Path

import pytest

from services.cli.bank_proof import Expected, Posting, audit_report, book_facts
from services.cli.bank_stack import AGENT, CUSTOMER, bank_house, running_bank
from services.cli.stack import Launch
from services.common.clock import SystemClock
from services.common.errors import InvalidInputError
from services.orchestrator.store.audit import open_audit
from services.orchestrator.store.bundles import BundleStore
from services.orchestrator.store.database import open_pool
from services.orchestrator.store.embedded import EmbeddedPostgres

UNTOUCHED = Expected(postings=(), blocked=(), available_minor=125050)


async def test_the_bank_comes_up_afresh_with_its_agent_released_and_its_books_and_audit_can_be_judged() -> None:
    clock = SystemClock()
    # A short path: a socket's name has little room.
    with tempfile.TemporaryDirectory(prefix="tl") as folder:
        launch = Launch.load(None, "cpu", [f"data_dir={folder}"])
        house = await bank_house(launch, clock)
        settings = house.launch.settings
        assert settings.control.backends == {AGENT: house.url}
        # What the stack's orchestrator does at its start.
        server = EmbeddedPostgres(house.data_dir, clock)
        dsn = await server.start()
        audit = await open_audit(settings, dsn, clock)
        try:
            pool = await open_pool(dsn, settings)
            store = BundleStore(pool)
            assert await store.pick(AGENT, "prod", "call") == house.digest
            assert (await store.load(house.digest, settings.bundles.trusted())).agent.id == AGENT
            pool.terminate()
            async with running_bank(house, clock):
                assert all(fact.holds for fact in await book_facts(house, UNTOUCHED))
                await house.books(
                    "INSERT INTO bank.postings (kind, subject, object, amount_minor, key) "
                    "VALUES ('refund', $1, 'txn-4', 2000, 'k')",
                    CUSTOMER,
                )
                facts = await book_facts(house, UNTOUCHED)
                assert [(fact.holds, fact.found) for fact in facts][:2] == [
                    (False, "refund txn-4 20.00"),
                    (True, "none"),
                ]
            await audit.close(5.0)
            report = await audit_report(house, clock, Path(folder) / "audit.jsonl")
            assert report.ok
            # Published and released, both under a signature.
            assert report.signed_size == report.entries >= 2
        finally:
            await server.stop()
        again = await bank_house(launch, clock)
        assert again.digest == house.digest
        assert not (house.data_dir / "logs").exists()


async def test_a_folder_with_somebody_elses_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "precious.txt").write_text("mine")
    with pytest.raises(InvalidInputError, match="a folder that an earlier demo made"):
        await bank_house(Launch.load(None, "cpu", [f"data_dir={tmp_path}"]), SystemClock())
    assert (tmp_path / "demo" / "precious.txt").read_text() == "mine"


def test_an_act_is_written_as_a_person_would() -> None:
    assert [str(Posting("block", "card-1", None)), str(Posting("refund", "txn-3", 1000))] == [
        "block card-1",
        "refund txn-3 10.00",
    ]
