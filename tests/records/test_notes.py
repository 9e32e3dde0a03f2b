"""Signed notes and cosignatures: the published example, round trips, and everything that is not one."""

import base64
import struct

import pytest

from services.common.errors import InvalidInputError, SettingsError
from services.records.checkpoint import Checkpoint, cosignatures
from services.records.keys import LOG_KEY, LOG_PUBLIC, create_signer, load_signer, load_verifier
from services.records.notes import COSIGNATURE_V1, Note, Signer, Verifier, signed_at

# The examples of c2sp.org/signed-note and c2sp.org/tlog-cosignature.
SPEC_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SPEC_NOTE = (
    "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ER"
    "YNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
SPEC_COSIGNED = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+"
    "xeMcTOAYQ8=\n"
    "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+"
    "mbIUBkBIfZ+qnA==\n"
)
ROOT = bytes(range(32))


def test_the_example_of_the_specification_verifies_and_one_changed_letter_does_not():
    key = Verifier.parse(SPEC_KEY)
    assert str(key) == SPEC_KEY
    note = Note.parse(SPEC_NOTE)
    assert str(note) == SPEC_NOTE
    assert note.signed_by(key)
    assert Note.parse(SPEC_NOTE.replace("message", "massage")).signed_by(key) is None


def test_the_cosigned_example_parses_and_tells_its_time():
    note = Note.parse(SPEC_COSIGNED)
    checkpoint = Checkpoint.parse(note.text)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.text() == note.text
    assert signed_at(note.signatures[1].signature) == 1679315147
    assert str(note) == SPEC_COSIGNED


def test_a_cosignature_is_over_header_time_and_text_and_does_not_pass_under_another_time():
    log, witness = Signer.generate("example.com/log"), Signer.generate("w.example/1", COSIGNATURE_V1)
    note = Checkpoint("example.com/log", 3, ROOT).sign(log)
    note = note.with_lines(witness.line(note.text, 1_700_000_000))
    assert [(c.witness, c.unix_s) for c in cosignatures(note, [witness.verifier])] == [("w.example/1", 1_700_000_000)]
    assert note.signed_by(log.verifier)
    signature = note.signatures[1].signature
    assert not witness.verifier.check(note.text, struct.pack(">Q", 1_700_000_001) + signature[8:])
    assert not witness.verifier.check(note.text, signature[8:])
    # A log's key is no witness, even with the same bytes: type and key id differ.
    assert cosignatures(note, [Verifier(log.name, COSIGNATURE_V1, log.verifier.key)]) == []


def test_a_false_line_of_a_known_key_spoils_the_note():
    log, other = Signer.generate("log"), Signer.generate("log")
    text = Checkpoint("log", 1, ROOT).text()
    forged = base64.b64encode(log.verifier.key_id + base64.b64decode(other.line(text).split()[2])[4:]).decode()
    assert Note.parse(f"{text}\n— log {forged}\n").signed_by(log.verifier) is None
    assert Note.parse(f"{text}\n{log.line(text)}— log {forged}\n").signed_by(log.verifier) is None
    assert Note.parse(f"{text}\n{other.line(text)}{log.line(text)}").signed_by(log.verifier)


@pytest.mark.parametrize(
    "raw",
    [
        "", "text\n", "text\n\n", "text\n\n- n AAAAAAAA\n", "text\n\n— n AAAA\n", "text\n\n— n A!\n",
        "t\x01\n\n— n AAAAAAAAAA==\n", "text\n\n— n AAAAAAAAAA==", "text\n\n— a+b AAAAAAAAAA==\n",
        "text\n\n" + "— n AAAAAAAAAA==\n" * 101,
    ],
)  # fmt: skip
def test_what_is_no_note_is_refused(raw):
    with pytest.raises(InvalidInputError):
        Note.parse(raw)


@pytest.mark.parametrize(
    "text", ["o\n07\n{}\n", "o\n7\n{}", "o\n7\nAAAA\n", "\n7\n{}\n", "o\n-1\n{}\n", "o\n7\n{}\n\n"]
)
def test_what_is_no_checkpoint_is_refused(text):
    with pytest.raises(InvalidInputError):
        Checkpoint.parse(text.format(base64.b64encode(ROOT).decode()))


@pytest.mark.parametrize(
    "key", ["", "a+b", SPEC_KEY.replace("530d903a", "530d903b"), SPEC_KEY[:-4], "a b+530d903a+AQ=="]
)
def test_a_public_key_with_a_lost_character_is_refused(key):
    with pytest.raises(InvalidInputError):
        Verifier.parse(key)


def test_keys_live_in_files_that_only_their_owner_reads(tmp_path):
    signer = Signer.generate("example.com/log")
    create_signer(tmp_path / LOG_KEY, tmp_path / LOG_PUBLIC, signer)
    assert (tmp_path / LOG_KEY).stat().st_mode & 0o777 == 0o600
    assert load_signer(tmp_path / LOG_KEY).verifier == signer.verifier
    assert load_verifier(str(tmp_path / LOG_PUBLIC)) == load_verifier(str(signer.verifier)) == signer.verifier
    with pytest.raises(FileExistsError):
        create_signer(tmp_path / LOG_KEY, tmp_path / LOG_PUBLIC, signer)
    (tmp_path / LOG_KEY).chmod(0o640)
    with pytest.raises(SettingsError, match="chmod 600"):
        load_signer(tmp_path / LOG_KEY)
    with pytest.raises(SettingsError, match="audit init"):
        load_signer(tmp_path / "none")


def test_a_private_key_shows_in_no_repr_and_no_error():
    signer = Signer.generate("example.com/log")
    secret = signer.private_text()
    assert Signer.parse(secret).verifier == signer.verifier
    seed = secret.split("+")[-1]
    assert seed not in repr(signer)
    with pytest.raises(InvalidInputError) as refused:
        Signer.parse(secret.replace("PRIVATE", "PRIVAT"))
    assert seed not in str(refused.value)
