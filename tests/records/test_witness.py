"""The witness over HTTP, as tlog-witness describes it, and what its memory survives."""

import asyncio
import base64

import aiohttp
import pytest
from aiohttp import web

from services.common.clock import SystemClock
from services.common.errors import InvalidInputError, UnavailableError
from services.records.checkpoint import Checkpoint, cosignatures
from services.records.merkle import Tree, leaf_hash
from services.records.notes import COSIGNATURE_V1, Note, Signer
from services.records.witness import AddCheckpoint
from services.records.witness_client import WitnessClient, WitnessRefusedError
from services.records.witness_server import Witness, WitnessStore, create_witness_app

LOG = Signer.generate("example.com/audit")
KEY = Signer.generate("witness.example/1", COSIGNATURE_V1)


def tree(size, salt=""):
    return Tree([leaf_hash(f"{salt}{n}".encode()) for n in range(size)])


def note(of, signer=LOG, origin=LOG.name):
    return Checkpoint(origin, of.size, of.root()).sign(signer)


def body(old, of, signed=None):
    return AddCheckpoint(old, tuple(of.consistency(old, of.size)) if old else (), signed or note(of)).body()


@pytest.fixture
async def site(tmp_path):
    """(URL, directory) of a running witness."""
    app = create_witness_app(Witness(KEY, [LOG.verifier], WitnessStore(tmp_path), SystemClock()))
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", tmp_path
    await runner.cleanup()


async def post(url, text):
    async with aiohttp.ClientSession() as http, http.post(f"{url}/add-checkpoint", data=text.encode()) as answer:
        return answer.status, await answer.text(), answer.content_type


async def test_it_signs_what_continues_what_it_signed_and_remembers_it(site):
    url, directory = site
    status, line, _ = await post(url, body(0, tree(3)))
    assert status == 200
    signed = note(tree(3)).with_lines(line)
    assert [c.witness for c in cosignatures(signed, [KEY.verifier])] == ["witness.example/1"]
    assert (await post(url, body(3, tree(8))))[0] == 200
    async with aiohttp.ClientSession() as http, http.get(f"{url}/checkpoint", params={"origin": LOG.name}) as answer:
        latest = Note.parse(await answer.text())
    assert Checkpoint.parse(latest.text).size == 8
    assert latest.signed_by(KEY.verifier)
    # Another process with the same memory goes on from there.
    again = Witness(KEY, [LOG.verifier], WitnessStore(directory), SystemClock())
    assert (await again.add_checkpoint(body(8, tree(9))))[0].status == 200
    assert (await again.add_checkpoint(body(0, tree(9))))[0].status == 409


_REFUSED = {
    "a fork that grew": (body(3, tree(5, "other")), 422),
    "a fork of the same size": (AddCheckpoint(3, (), note(tree(3, "other"))).body(), 409),
    "a rollback": (AddCheckpoint(2, (), note(tree(2))).body(), 409),
    "an old size above the new": (AddCheckpoint(3, (), note(tree(2))).body(), 400),
    "an old size that is not ours": (body(0, tree(8)), 409),
    "another key": (body(3, tree(5), note(tree(5), Signer.generate(LOG.name))), 403),
    "another log": (body(3, tree(5), note(tree(5), LOG, "example.com/other")), 404),
    "no note": ("old 3\n\nnonsense", 400),
    "a leading zero": (f"old 03\n\n{note(tree(3))}", 400),
    "a proof too long": ("old 3\n" + "A\n" * 64 + f"\n{note(tree(5))}", 400),
    "nothing": ("", 400),
}


@pytest.mark.parametrize(("request_body", "status"), _REFUSED.values(), ids=_REFUSED)
async def test_it_refuses_forks_truncation_and_nonsense_each_with_its_status(site, request_body, status):
    url, _ = site
    assert (await post(url, body(0, tree(3))))[0] == 200
    got, text, kind = await post(url, request_body)
    assert got == status
    if status == 409:
        assert (text, kind) == ("3\n", "text/x.tlog.size")
    # And its memory is as it was.
    assert (await post(url, body(3, tree(4))))[0] == 200


async def test_a_client_that_does_not_know_the_size_asks_and_proves(site):
    url, _ = site
    await post(url, body(0, tree(3)))
    whole = tree(7)
    client = WitnessClient(url, KEY.verifier)
    assert note(whole).with_lines(await client.cosign(note(whole), whole)).signed_by(KEY.verifier)
    forked = tree(9, "other")
    with pytest.raises(WitnessRefusedError, match="NOT A CONTINUATION"):
        await client.cosign(note(forked), forked)
    with pytest.raises(WitnessRefusedError, match="the end is missing"):
        await WitnessClient(url, KEY.verifier).cosign(note(tree(2)), tree(2))
    same_size = tree(7, "other")
    with pytest.raises(WitnessRefusedError, match="another root"):
        await client.cosign(note(same_size), same_size)


async def test_a_witness_that_is_away_or_signs_with_another_key_is_said(site):
    url, _ = site
    with pytest.raises(UnavailableError, match="not signed by its key"):
        await WitnessClient(url, Signer.generate("w", COSIGNATURE_V1).verifier).cosign(note(tree(1)), tree(1))
    with pytest.raises(UnavailableError, match="does not answer"):
        await WitnessClient("http://127.0.0.1:1", KEY.verifier).cosign(note(tree(1)), tree(1))
    with pytest.raises(InvalidInputError, match=r"witness\.pub"):
        WitnessClient(url, LOG.verifier)


async def test_two_requests_at_once_do_not_roll_it_back(site):
    url, directory = site
    await post(url, body(0, tree(3)))
    answers = await asyncio.gather(*(post(url, body(3, tree(size))) for size in (5, 9, 7)))
    assert sorted(status for status, _, _ in answers) == [200, 409, 409]
    kept = Checkpoint.parse(WitnessStore(directory).load(LOG.name).text)
    winner = next(size for size, (status, _, _) in zip((5, 9, 7), answers, strict=True) if status == 200)
    assert kept.size == winner


def test_a_request_is_written_as_the_specification_shows_it():
    text = body(3, tree(5))
    head, _, rest = text.partition("\n\n")
    assert head.split("\n")[0] == "old 3"
    assert all(len(base64.b64decode(line)) == 32 for line in head.split("\n")[1:])
    assert rest == str(note(tree(5)))
    assert AddCheckpoint.parse(text).body() == text
