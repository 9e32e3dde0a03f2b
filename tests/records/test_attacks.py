"""What an insider with every right on the database can do, and that each of it is found and named."""

import base64
import json

import pytest

from services.common.clock import SystemClock
from services.records.audit_log import AuditLog, write_entries
from services.records.checkpoint import Checkpoint
from services.records.checkpointer import Checkpointer
from services.records.entry import NO_PREVIOUS, place, prepare
from services.records.export import export_call, export_log
from services.records.merkle import Tree, leaf_hash
from services.records.notes import Note, Signer
from services.records.personal_store import PersonalStore
from services.records.verify import verify
from services.records.witness_client import WitnessRefusedError
from tests.records.lab import call_entry, entry

NINE = 9


@pytest.fixture
async def nine(log, checkpointer, admin):
    """Nine entries, checkpoints over 4 and 9 of them, and the insider's triggers off."""
    await log.append_batch([call_entry(n) for n in range(4)])
    await checkpointer.make()
    await log.append_batch([call_entry(n) for n in range(4, NINE)])
    await checkpointer.make()
    await admin.execute("SET session_replication_role = replica")
    return admin


def kinds(report):
    return [(f.kind, f.index, f.last) for f in report.findings]


async def rewrite(admin, start, changes=None, drop=()):
    """The careful insider: change or drop entries, then renumber and chain everything after them anew."""
    rows = await admin.fetch("SELECT index, entry FROM audit_entries ORDER BY index")
    kept = [json.loads(row["entry"]) for row in rows if row["index"] not in drop]
    await admin.execute("DELETE FROM audit_entries")
    previous = NO_PREVIOUS
    for index, body in enumerate(kept):
        body = {**body, **((changes or {}).get(index, {}))}
        text = place({k: v for k, v in body.items() if k not in ("index", "prev")}, index, previous)
        previous = leaf_hash(text)
        await admin.execute("INSERT INTO audit_entries VALUES ($1, $2, $3)", index, text.decode(), previous)


async def test_an_untouched_log_verifies(nine, audited):
    report = await audited()
    assert report.ok, report.findings
    assert report.opened == report.commitments == NINE


@pytest.mark.parametrize("index", [0, 3, 8])
async def test_one_bit_edited_is_found_at_its_entry(nine, audited, index):
    flipped = "overlay(entry placing chr(ascii(substr(entry, 14, 1)) # 1) from 14 for 1)"
    await nine.execute(f"UPDATE audit_entries SET entry = {flipped} WHERE index = $1", index)
    assert kinds(await audited()) == [("edited", index, index)]


@pytest.mark.parametrize("index", [0, 3])
async def test_an_edited_entry_with_its_hash_made_anew_is_found_by_the_chain(nine, audited, index):
    await nine.execute("UPDATE audit_entries SET entry = replace(entry, 'system', 'nobody') WHERE index = $1", index)
    text = await nine.fetchval("SELECT entry FROM audit_entries WHERE index = $1", index)
    await nine.execute("UPDATE audit_entries SET leaf_hash = $2 WHERE index = $1", index, leaf_hash(text.encode()))
    report = await audited()
    assert kinds(report) == [("chain_broken", index, index + 1)]
    assert f"entry {index} was replaced" in report.findings[0].message


async def test_the_last_entry_edited_with_its_hash_is_found_by_the_checkpoint(nine, audited):
    await nine.execute("UPDATE audit_entries SET entry = replace(entry, 'system', 'nobody') WHERE index = 8")
    text = await nine.fetchval("SELECT entry FROM audit_entries WHERE index = 8")
    await nine.execute("UPDATE audit_entries SET leaf_hash = $1 WHERE index = 8", leaf_hash(text.encode()))
    assert kinds(await audited()) == [("rewritten", 4, 8)]


_GONE = [([5], "Entry 5 is missing"), ([0], "begins with 1"), ([2, 3], "2 to 3 are missing")]


@pytest.mark.parametrize(("gone", "words"), _GONE)
async def test_a_removed_entry_is_found_and_named(nine, audited, gone, words):
    await nine.execute("DELETE FROM audit_entries WHERE index = ANY($1)", gone)
    report = await audited()
    assert kinds(report) == [("removed", gone[0], gone[-1])]
    assert words in report.findings[0].message


async def test_entries_that_changed_places_are_found(nine, audited):
    await nine.execute("UPDATE audit_entries a SET entry = b.entry, leaf_hash = b.leaf_hash FROM audit_entries b "
                       "WHERE (a.index, b.index) IN ((2, 6), (6, 2))")  # fmt: skip
    report = await audited()
    assert kinds(report)[:2] == [("moved", 2, 2), ("moved", 6, 6)]
    # Their openings stayed behind.
    assert kinds(report)[2:] == [("personal_mismatch", 2, 2), ("personal_mismatch", 6, 6)]
    assert "written as entry 6" in report.findings[0].message


async def test_an_entry_taken_out_with_the_places_closed_is_found_as_one_shift(nine, audited):
    await nine.execute("DELETE FROM audit_entries WHERE index = 5")
    await nine.execute("UPDATE audit_entries SET index = index - 1 WHERE index > 5")
    found = kinds(await audited())
    assert found[0] == ("moved", 5, 7)


async def test_a_cut_off_end_is_found_by_the_signed_checkpoint(nine, audited):
    await nine.execute("DELETE FROM audit_entries WHERE index >= 6")
    report = await audited()
    assert kinds(report) == [("truncated", 6, 8)]
    assert "9 entries were signed and witnessed by witness.example/1" in report.findings[0].message


async def test_a_cut_off_end_with_its_checkpoints_is_found_by_what_the_witness_remembers(nine, audited, witness):
    await nine.execute("DELETE FROM audit_entries WHERE index >= 4")
    await nine.execute("DELETE FROM audit_checkpoints WHERE size > 4")
    assert (await audited()).ok  # Nothing in the database itself can tell.
    report = await audited(kept=[Note.parse(witness.latest())])
    assert kinds(report) == [("truncated", 4, 8)]


async def test_a_rewrite_of_the_whole_chain_is_found_by_the_checkpoints(nine, audited):
    await rewrite(nine, 0, changes={1: {"actor": "nobody"}})
    report = await audited()
    assert kinds(report) == [("rewritten", 0, 3)]
    assert "witnessed by witness.example/1" in report.findings[0].message


async def test_a_rewrite_after_the_first_checkpoint_is_narrowed_to_what_follows_it(nine, audited):
    await rewrite(nine, 0, drop=[6])
    await nine.execute("DELETE FROM audit_personal")
    assert kinds(await audited()) == [("truncated", 8, 8)]
    await write_entries(nine, [prepare(entry(99))], PersonalStore("none"))
    assert kinds(await audited()) == [("rewritten", 4, 8)]


async def test_an_insider_with_the_logs_key_rewrites_and_signs_everything_and_the_witness_finds_it(
    nine, audited, witness, pool, key
):
    kept = Note.parse(witness.latest())
    await rewrite(nine, 0, changes={1: {"actor": "nobody"}})
    await nine.execute("DELETE FROM audit_checkpoints")
    # The witness does not sign the new history…
    forger = Checkpointer(pool, key, [witness], SystemClock())
    await forger.make()
    with pytest.raises(WitnessRefusedError, match="FORK"):
        await witness.cosign(await forger.make(), forger._tree)
    assert ("unwitnessed", None, None) in kinds(await audited())
    # …and what it remembers is another one.
    report = await audited(kept=[kept])
    assert {f.kind for f in report.findings} == {"fork", "rewritten"}
    # Without a witness nobody could tell; the report says so.
    alone = await audited(witnesses=[])
    assert alone.ok
    assert "No witness key" in alone.notes[0]


async def test_a_log_that_grew_on_a_forged_history_is_refused_by_the_witness(nine, witness, pool, key, personal):
    await rewrite(nine, 0, changes={1: {"actor": "nobody"}})
    await nine.execute("DELETE FROM audit_checkpoints")
    await write_entries(nine, [prepare(entry(10))], personal)
    forger = Checkpointer(pool, key, [], SystemClock())
    note = await forger.make()
    with pytest.raises(WitnessRefusedError, match="NOT A CONTINUATION"):
        await witness.cosign(note, forger._tree)
    short = Tree([forger._tree.leaf(n) for n in range(3)])
    cut = Checkpoint(key.name, 3, short.root()).sign(key)
    with pytest.raises(WitnessRefusedError, match="400"):
        await witness.cosign(cut, short)


async def test_checkpoints_of_another_key_and_another_log_are_named(nine, audited, key):
    other = Signer.generate(key.name)
    root = bytes(32)
    forged = Checkpoint(key.name, 9, root).sign(other)
    stray = Checkpoint("example.com/other", 9, root).sign(Signer.generate("example.com/other"))
    for note in (forged, stray):
        await nine.execute("INSERT INTO audit_checkpoints (size, note) VALUES (9, $1)", str(note))
    report = await audited()
    assert [f.kind for f in report.findings] == ["forged_checkpoint"] * 2
    assert "not signed by the key" in report.findings[0].message
    assert "of another log" in report.findings[1].message


async def test_a_checkpoint_row_edited_by_one_letter_is_named(nine, audited):
    await nine.execute("UPDATE audit_checkpoints SET note = replace(note, $1, $2) WHERE size = 4", "\n4\n", "\n3\n")
    assert [f.kind for f in (await audited()).findings] == ["forged_checkpoint"]


async def test_two_histories_signed_by_one_key_are_a_fork(nine, audited, key):
    other = Checkpoint(key.name, 9, base64.b64decode("A" * 43 + "=")).sign(key)
    report = await audited(kept=[other])
    assert "fork" in [f.kind for f in report.findings]


async def test_a_log_without_any_checkpoint_is_not_called_good(log, audited):
    await log.append(entry(0))
    assert [f.kind for f in (await audited()).findings] == ["no_checkpoint", "unwitnessed"]


async def test_shredding_personal_data_leaves_every_proof_valid(nine, audited, personal):
    before = await audited()
    await nine.execute("SET session_replication_role = origin")
    await nine.execute("SET ROLE trunkline_audit_eraser")
    await nine.execute("DELETE FROM audit_personal WHERE index IN (2, 5)")
    await nine.execute("RESET ROLE")
    lines = [line async for line in export_log(nine, personal)]
    assert sum("jane" in line for line in lines) == NINE - 2
    report = await audited()
    assert report.ok
    assert (report.opened, report.commitments) == (NINE - 2, NINE)
    assert report.signed_size == before.signed_size
    excerpt = [line async for line in export_call(nine, "call5", personal)]
    assert "jane" not in "".join(excerpt)


async def test_a_value_that_was_exchanged_does_not_open_its_commitment(nine, audited):
    await nine.execute("UPDATE audit_personal SET value = 'sip:john@example.com' WHERE index = 3")
    assert kinds(await audited()) == [("personal_mismatch", 3, 3)]


async def test_an_export_without_openings_holds_no_personal_data(nine, key, witness):
    lines = [line async for line in export_log(nine)]
    assert "jane" not in "".join(lines)
    report = verify(lines, key.verifier, [witness.verifier])
    assert report.ok
    assert report.opened == 0


async def test_a_call_alone_is_proved_without_showing_the_others(nine, key, witness, personal):
    lines = [line async for line in export_call(nine, "call5", personal)]
    report = verify(lines, key.verifier, [witness.verifier])
    assert report.ok, report.findings
    assert (report.excerpt, report.entries, report.opened) == (True, 1, 1)
    assert "call4" not in "".join(lines)
    changed = [line.replace("call5", "call6") for line in lines]
    assert verify(changed, key.verifier).findings[0].kind == "edited"
    moved = [line.replace('"proof": ["', '"proof": ["00') for line in lines]
    assert "not_included" in [f.kind for f in verify(moved, key.verifier).findings]


async def test_a_file_that_was_cut_off_or_spoilt_is_told_by_its_line(nine, key, witness):
    lines = [line async for line in export_log(nine)]
    cut = verify(lines[:-3], key.verifier, [witness.verifier])
    assert "cut off" in cut.findings[0].message
    spoilt = verify([*lines[:3], "{", *lines[4:]], key.verifier, [witness.verifier])
    assert "Line 4" in spoilt.findings[0].message
    assert ("removed", 2, 2) in kinds(spoilt)


async def test_a_sealed_value_opens_with_its_key_and_with_no_other(pool, admin):
    store = PersonalStore("sealed", bytes(32))
    log = AuditLog(pool, store, SystemClock())
    log.start()
    await log.append(call_entry(0))
    await log.close()
    assert any("jane" in line for line in [line async for line in export_log(admin, store)])
    other = PersonalStore("sealed", bytes(31) + b"\1")
    assert not any("jane" in line for line in [line async for line in export_log(admin, other)])
