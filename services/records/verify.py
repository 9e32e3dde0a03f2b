"""Checking an export with public keys alone: no database, no network, no secret. Pure.

Entry by entry: the bytes give the recorded hash, the entry says its own place, and it names the hash of the one before.
Then the whole: the root over all entries is recomputed for every signed checkpoint, those in the file and those that
the auditor kept or got from a witness. The chain finds and places a careless change; only a checkpoint that the
insider cannot make anew finds a careful one, who recomputes every hash, or a log whose end was cut off.
"""

from collections.abc import Iterable, Sequence

from services.common.errors import InvalidInputError
from services.records.checkpoint import Checkpoint, cosignatures
from services.records.entry import NO_PREVIOUS, commit
from services.records.export_reader import ReadEntry, read_export
from services.records.findings import Finding, Report
from services.records.merkle import Tree, verify_inclusion
from services.records.notes import COSIGNATURE_V1, ED25519, Note, Verifier


def verify(
    lines: Iterable[str], log: Verifier, witnesses: Sequence[Verifier] = (), kept: Sequence[Note] = ()
) -> Report:
    """Check an export against the log's public key, those of its witnesses, and checkpoints kept elsewhere.

    Raises InvalidInputError when `lines` are no export at all or a key is of the wrong kind.
    """
    _require_kind("--log-key", log, ED25519)
    for witness in witnesses:
        _require_kind("--witness-key", witness, COSIGNATURE_V1)
    report = Report()
    entries, notes = read_export(lines, report)
    report.entries = len(entries)
    if entries:
        report.first_at, report.last_at = (str(entries[i].body.get("at", "")) for i in (0, -1))
    found = [*((note, "the export") for note in notes), *((note, "a kept checkpoint") for note in kept)]
    signed = _checkpoints(found, log, witnesses, report)
    if report.excerpt:
        _check_included(entries, signed, report)
    else:
        _check_chain(entries, report)
        _check_roots(entries, signed, report)
    for entry in entries:
        _check_personal(entry, report)
    _judge_coverage(signed, witnesses, report)
    return report


def _require_kind(option: str, key: Verifier, kind: int) -> None:
    if key.kind != kind:
        names = {ED25519: "a log's key (log.pub)", COSIGNATURE_V1: "a witness's key (witness.pub)"}
        raise InvalidInputError(option, expected=names[kind], got=names[key.kind])


def _check_chain(entries: Sequence[ReadEntry], report: Report) -> None:
    """One finding a place, the most telling; what only follows from the one before is not said again."""
    expected, previous, doubted = 0, NO_PREVIOUS, False
    for entry in entries:
        index = entry.index
        if index > expected:
            before = f"{index} follows {expected - 1}" if expected else f"the log begins with {index}"
            report.find("removed", f"{_missing(expected, index - 1)}: {before}.", expected, index - 1)
            doubted = True
        elif index < expected:
            report.find("moved", f"Entry {index} stands after entry {expected - 1}.", index)
            doubted = True
        finding = _own_fault(entry)
        if finding is None and entry.body["prev"] != previous.hex() and not doubted:
            finding = Finding("chain_broken", _broken(index), max(index - 1, 0), index)
        if finding is not None and not _extends(report.findings, finding):
            report.findings.append(finding)
        expected, previous, doubted = max(expected, index + 1), entry.hash, finding is not None


def _broken(index: int) -> str:
    if index == 0:
        return "Entry 0 says that another entry was before it: the beginning was cut off."
    return (
        f"Entry {index} was written after another entry {index - 1} than the one that is there: entry {index - 1} was "
        f"replaced since, or entry {index} was put in."
    )


def _own_fault(entry: ReadEntry) -> Finding | None:
    """What is wrong with an entry by itself."""
    index = entry.index
    if entry.recorded and entry.recorded != entry.hash.hex():
        hashes = f"its bytes hash to {entry.hash.hex()[:16]}…, {entry.recorded[:16]}… was recorded"
        return Finding("edited", f"Entry {index} was edited: {hashes}.", index, index)
    if not entry.exact:
        message = f"Entry {index} was edited: it is not as the log writes entries (fields, order, spacing)."
        return Finding("edited", message, index, index)
    if entry.body["index"] != index:
        message = f"In place {index} stands what was written as entry {entry.body['index']}"
        return Finding("moved", f"{message}: something was exchanged, put in or taken out.", index, index)
    return None


def _extends(findings: list[Finding], finding: Finding) -> bool:
    """Whether entries that moved together are told by the finding before; it then grows to hold this one too."""
    before = findings[-1] if findings else None
    if before is None or before.last is None or {before.kind, finding.kind} != {"moved"}:
        return False
    if finding.index != before.last + 1:
        return False
    first = before.message.partition("; likewise")[0].rstrip(".")
    message = f"{first}; likewise in the places up to {finding.index}."
    findings[-1] = Finding("moved", message, before.index, finding.index)
    return True


def _checkpoints(
    notes: Sequence[tuple[Note, str]], log: Verifier, witnesses: Sequence[Verifier], report: Report
) -> list[Checkpoint]:
    """Those this log signed, smallest first; false and forked ones become findings."""
    by_size: dict[int, list[tuple[Checkpoint, str]]] = {}
    for note, where in notes:
        checkpoint = _authentic(note, where, log, report)
        if checkpoint is None:
            continue
        same = by_size.setdefault(checkpoint.size, [])
        if all(checkpoint.root != other.root for other, _ in same):
            for _, elsewhere in same[:1]:
                message = f"The key signed two histories of {checkpoint.size} entries, in {elsewhere} and in {where}."
                report.find("fork", message)
            same.append((checkpoint, where))
        for by in cosignatures(note, witnesses):
            best = report.witnessed.get(by.witness, (-1, 0))
            report.witnessed[by.witness] = max(best, (checkpoint.size, by.unix_s))
    report.checkpoints = len(by_size)
    report.signed_size = max(by_size, default=0)
    return [checkpoint for _, same in sorted(by_size.items()) for checkpoint, _ in same]


def _authentic(note: Note, where: str, log: Verifier, report: Report) -> Checkpoint | None:
    try:
        checkpoint = Checkpoint.parse(note.text)
    except InvalidInputError as error:
        report.find("forged_checkpoint", f"A checkpoint in {where}: {error.message}")
        return None
    what = f"The checkpoint over {checkpoint.size} entries in {where}"
    if checkpoint.origin != log.name:
        report.find("forged_checkpoint", f"{what} is of another log: expected {log.name}, got {checkpoint.origin}.")
    elif note.signed_by(log) is None:
        report.find("forged_checkpoint", f"{what} is not signed by the key of {log.name} ({log.key_id.hex()}).")
    else:
        return checkpoint
    return None


def _check_roots(entries: Sequence[ReadEntry], signed: Sequence[Checkpoint], report: Report) -> None:
    tree = Tree()
    for entry in entries:
        if entry.index != tree.size:
            break
        tree.append(entry.hash)
    whole = tree.size == len(entries)
    good = 0
    for checkpoint in signed:
        size = checkpoint.size
        if size > tree.size:
            if whole:
                message = f"{_missing(tree.size, size - 1)}: {size} entries were signed{_by(size, report)}."
                report.find("truncated", message, tree.size, size - 1)
            return
        if tree.root(size) == checkpoint.root:
            good = size
            continue
        if not any(f.index is not None and good <= f.index < size for f in report.findings):
            what = f"Entry {good} is not the one" if good == size - 1 else f"Entries {good} to {size - 1} are not those"
            message = f"{what} signed{_by(size, report)}: rewritten there or from there on, hashes and all."
            report.find("rewritten", message, good, size - 1)
        return


def _check_included(entries: Sequence[ReadEntry], signed: Sequence[Checkpoint], report: Report) -> None:
    for entry in entries:
        fault = _own_fault(entry)
        if fault is not None:
            report.findings.append(fault)
        elif not any(verify_inclusion(entry.hash, entry.index, c.size, entry.proof, c.root) for c in signed):
            report.find("not_included", f"Entry {entry.index} is in no signed checkpoint by its proof.", entry.index)


def _check_personal(entry: ReadEntry, report: Report) -> None:
    committed = entry.body.get("personal", {}) if entry.exact else {}
    report.commitments += len(committed)
    for name, opening in entry.openings.items():
        report.opened += 1
        try:
            right = committed.get(name) == commit(bytes.fromhex(opening["salt"]), name, opening["value"])
        except (KeyError, TypeError, ValueError, InvalidInputError):
            right = False
        if not right:
            message = f"Entry {entry.index}: the value shown for {name!r} is not the one that was committed to."
            report.find("personal_mismatch", message, entry.index)


def _judge_coverage(signed: Sequence[Checkpoint], witnesses: Sequence[Verifier], report: Report) -> None:
    if report.entries and not signed:
        message = "No checkpoint of this log's key: a rewrite of the whole log would not show."
        report.find("no_checkpoint", f"{message} Run `trunkline audit checkpoint`, export again.")
    for witness in witnesses:
        if report.entries and witness.name not in report.witnessed:
            report.find("unwitnessed", f"No checkpoint is signed by the witness {witness.name}.")
    if not witnesses:
        report.notes.append("No witness key was given: whoever holds the log's key could have signed a rewritten log.")
    if report.excerpt:
        return
    if signed and (tail := report.entries - report.signed_size) > 0:
        report.notes.append(f"The last {tail} entries are under no checkpoint yet: only the chain holds them.")
    for name, (size, _) in sorted(report.witnessed.items()):
        if size < report.entries:
            report.notes.append(f"The last {report.entries - size} entries are not witnessed by {name} yet.")


def _by(size: int, report: Report) -> str:
    names = [name for name, (witnessed, _) in sorted(report.witnessed.items()) if witnessed >= size]
    return f" and witnessed by {', '.join(names)}" if names else ""


def _missing(first: int, last: int) -> str:
    return f"Entry {first} is missing" if first == last else f"Entries {first} to {last} are missing"
