"""Publish, release, canary, rollback against a real PostgreSQL; signatures that hold and those that do not."""

import asyncio
import itertools
from pathlib import Path

import asyncpg
import pytest

from services.common.errors import InvalidInputError
from services.common.settings import load_settings
from services.orchestrator.bundles.checks import validate
from services.orchestrator.bundles.choice import Release, choose
from services.orchestrator.bundles.difference import differences
from services.orchestrator.bundles.load import read_directory
from services.orchestrator.bundles.signing import SignatureError, Signer
from services.orchestrator.store.bundles import BundleStore
from services.orchestrator.store.database import migrated_pool
from tests.store.conftest import empty, server  # noqa: F401  # fixtures

AGENTS = Path(__file__).parents[2] / "deploy" / "agents"


def clinic(version: str = "0.1.0", greeting: str = "Riverside clinic, how can I help?"):
    files = read_directory(AGENTS / "clinic")
    files["agent.yaml"] = files["agent.yaml"].replace("version: 0.1.0", f"version: {version}")
    files["prompts/en-GB.yaml"] = files["prompts/en-GB.yaml"].replace("Riverside clinic, how can I help?", greeting)
    bundle, problems = validate(files)
    assert not problems
    return bundle


@pytest.fixture
async def store(empty):  # noqa: F811
    pool = await migrated_pool(empty, load_settings(env={}))
    yield BundleStore(pool)
    pool.terminate()
    await asyncio.sleep(0)


@pytest.fixture
def signer(tmp_path):
    return Signer.create(tmp_path / "key.pem")


async def test_a_published_bundle_comes_back_as_it_was(store, signer):
    bundle = clinic()
    published = await store.publish(bundle, signer, "ann")
    assert published.digest == bundle.digest
    again = await store.load(published.digest, frozenset({signer.public}))
    assert again.files == bundle.files
    assert (await store.publish(bundle, signer, "bob")).published_by == "ann"


async def test_other_content_under_a_published_version_is_refused(store, signer):
    await store.publish(clinic(), signer, "ann")
    with pytest.raises(InvalidInputError, match="Raise `version`"):
        await store.publish(clinic(greeting="Hello there."), signer, "ann")


async def test_a_bundle_under_an_untrusted_key_is_not_loaded(store, signer, tmp_path):
    published = await store.publish(clinic(), signer, "ann")
    other = Signer.create(tmp_path / "other.pem")
    with pytest.raises(SignatureError, match="not trusted"):
        await store.load(published.digest, frozenset({other.public}))


async def test_stored_files_that_were_changed_are_found_even_by_the_owner_of_the_database(store, signer):
    published = await store.publish(clinic(), signer, "ann")
    with pytest.raises(asyncpg.PostgresError, match="append-only"):
        await store._pool.execute("UPDATE bundles SET version = '9.9.9'")
    await store._pool.execute("ALTER TABLE bundles DISABLE TRIGGER bundles_append_only")
    await store._pool.execute(
        "UPDATE bundles SET files = jsonb_set(files, '{goals.yaml}', to_jsonb(files->>'goals.yaml' || ' '))"
    )
    with pytest.raises(SignatureError, match="not those that were published"):
        await store.load(published.digest)


async def test_release_canary_promote_and_rollback_move_the_label_for_new_calls_only(store, signer):
    one = await store.publish(clinic("1.0.0"), signer, "ann")
    two = await store.publish(clinic("1.1.0", "Good day, Riverside clinic."), signer, "ann")
    with pytest.raises(InvalidInputError, match="released agent"):
        await store.pick("clinic", "prod", "call-1")
    with pytest.raises(InvalidInputError, match="--canary"):
        await store.release("clinic", "prod", two, canary_percent=5, by="ann")
    await store.release("clinic", "prod", one, canary_percent=0, by="ann")
    pinned = await store.pick("clinic", "prod", "call-1")
    await store.release("clinic", "prod", two, canary_percent=20, by="ann")
    picked = [await store.pick("clinic", "prod", f"call-{i}") for i in range(300)]
    assert 30 <= picked.count(two.digest) <= 95
    await store.release("clinic", "prod", two, canary_percent=0, by="ann")
    assert await store.pick("clinic", "prod", "call-1") == two.digest
    await store.rollback("clinic", "prod", by="bob", reason="wording")
    assert await store.pick("clinic", "prod", "call-1") == one.digest == pinned
    moves = await store.history("clinic", "prod")
    assert [move.action for move in moves] == ["rollback", "promote", "canary", "release"]
    assert (moves[0].by, moves[0].reason) == ("bob", "wording")
    audited = await store._pool.fetch("SELECT body FROM audit_pending ORDER BY id")
    assert [row["body"]["action"] for row in audited] == [
        "bundle.publish", "bundle.publish", "bundle.release", "bundle.canary", "bundle.promote", "bundle.rollback",
    ]  # fmt: skip
    assert audited[-1]["body"]["actor"] == "bob"
    assert audited[-1]["body"]["detail"]["reason"] == "wording"


async def test_rolling_a_canary_back_ends_it_and_a_first_release_cannot_be_rolled_back(store, signer):
    one = await store.publish(clinic("1.0.0"), signer, "ann")
    two = await store.publish(clinic("1.1.0", "Good day."), signer, "ann")
    await store.release("clinic", "prod", one, canary_percent=0, by="ann")
    await store.release("clinic", "prod", two, canary_percent=50, by="ann")
    assert await store.rollback("clinic", "prod", by="ann") == Release("clinic", "prod", one.digest)
    # The canary was never the release: going back further has nowhere to go but forward again.
    with pytest.raises(InvalidInputError, match="earlier release"):
        await store.rollback("clinic", "prod", by="ann")


async def test_two_people_who_release_at_once_leave_a_whole_history(store, signer):
    versions = [await store.publish(clinic(f"1.{i}.0", f"Hello {i}."), signer, "ann") for i in range(6)]
    await asyncio.gather(*(store.release("clinic", "prod", v, canary_percent=0, by="x") for v in versions))
    moves = await store.history("clinic", "prod")
    assert len(moves) == 6
    assert (await store.current("clinic", "prod")).digest == moves[0].digest


def test_a_larger_canary_contains_the_smaller_and_a_call_always_gets_the_same():
    calls = [f"call-{i}" for i in range(2000)]
    small = {c for c in calls if choose(Release("a", "prod", "old", "new", 5), c) == "new"}
    large = {c for c in calls if choose(Release("a", "prod", "old", "new", 25), c) == "new"}
    assert small <= large
    assert 60 <= len(small) <= 145
    assert all(choose(Release("a", "prod", "old", "new", 0), c) == "old" for c in calls)
    assert all(choose(Release("a", "prod", "old", "new", 100), c) == "new" for c in calls)


def test_the_difference_names_each_part_that_changed():
    found = differences(clinic(), clinic("0.2.0", "Good day."))
    assert [one.path for one in found] == ["agent.version", "prompts.en-GB.greeting.text"]
    assert found[1].after == "Good day."


def test_a_key_file_that_others_can_read_or_that_exists_is_refused(tmp_path):
    path = tmp_path / "key.pem"
    Signer.create(path)
    with pytest.raises(InvalidInputError, match="path without a file"):
        Signer.create(path)
    path.chmod(0o644)
    with pytest.raises(InvalidInputError, match="only you can read"):
        Signer.load(path)


def test_a_signature_means_one_agent_version_and_content(signer):
    from services.orchestrator.bundles.signing import verify

    signature = signer.sign("clinic", "1.0.0", "ab" * 32)
    verify(signer.public, signature, "clinic", "1.0.0", "ab" * 32)
    for agent, version, digest in itertools.product(("clinic", "bank"), ("1.0.0", "1.0.1"), ("ab" * 32, "ac" * 32)):
        if (agent, version, digest) != ("clinic", "1.0.0", "ab" * 32):
            with pytest.raises(SignatureError):
                verify(signer.public, signature, agent, version, digest)
