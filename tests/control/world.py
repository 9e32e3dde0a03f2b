"""A bank, our database and a call's control layer as a worker would have them."""

import asyncio
import contextlib

import aiohttp
import asyncpg

from services.common.clock import SystemClock
from services.common.personal import Personal
from services.common.settings import load_settings
from services.orchestrator.control.facade import ControlLayer
from services.orchestrator.control.facts import Caller
from services.orchestrator.control.model import Evidence, Proposal, Value
from services.orchestrator.control.review import Reviewing
from services.orchestrator.control.room import ControlRoom
from services.orchestrator.dialogue.model import Judge, Perform, Read, Say
from services.orchestrator.store.callbacks import CallbackStore
from services.orchestrator.store.database import open_pool
from services.orchestrator.store.effects import EffectStore
from services.orchestrator.store.reviews import ReviewStore
from services.records.data_keys import KeyRing
from tests.control.conftest import as_on_the_first_day
from tests.control.speech import PlainSpeaker

RING = KeyRing(bytes(range(32)))
NUMBER, PIN = "+441632960123", "4321"


class Notes:
    """An audit sink that remembers."""

    def __init__(self):
        self.entries = []

    async def append(self, entry):
        self.entries.append(entry)
        return len(self.entries)

    def actions(self):
        return [entry.action for entry in self.entries]


def said(value, text="", origin="speech", confidence=0.95):
    return Value(Personal(value), Evidence(origin, 1, Personal(text), confidence))


def block(card="card-1", reason="lost", confidence=0.95):
    args = {
        "card_id": said(card, "the debit one", "record", confidence),
        "reason": said(reason, f"it was {reason}", confidence=confidence),
    }
    return Proposal("block_card", args, 1)


def refund(minor=1500, txn="txn-2", currency="GBP"):
    heard = f"{minor / 100:g} pounds"
    args = {
        "txn_id": said(txn, "the railway", "record"),
        "amount_minor": said(minor, heard),
        "currency": said(currency, heard),
    }
    return Proposal("create_refund", args, 2)


def address(street="7 Harbour Road", heard="seven 7 harbour road", postcode="LS1 4AP", confidence=0.95):
    args = {"street": said(street, heard, confidence=confidence), "postcode": said(postcode, "L S one four A P")}
    return Proposal("change_address", args, 3)


class CallWorld:
    def __init__(self, bundle, bank, pool, http, notes):
        self.bundle, self.bank, self.pool, self.notes = bundle, bank, pool, notes
        self.http = http
        self.room = self.worker()

    def worker(self, ring=None):
        effects = EffectStore(self.pool, ring or RING)
        room = ControlRoom(effects, self.notes, {"bank-retail": self.bank.url}, self.http, SystemClock())
        room.reviewing = Reviewing(room, ReviewStore(self.pool), CallbackStore(self.pool), self._load, 3600)
        return room

    async def _load(self, digest):
        assert digest == self.bundle.digest
        return self.bundle

    def call(self, call_id="call-1", number=NUMBER, room=None):
        caller = Caller(number, "en-GB", "sip")
        return ControlLayer(room or self.room, self.bundle, call_id, caller, "en-GB", PlainSpeaker())

    async def identified(self, call_id="call-1", level=2):
        call = self.call(call_id)
        await call.recognise()
        if level == 2:
            assert (await call.identify(Personal(PIN))).level == 2
        return call

    async def postings(self, kind=None):
        return len(await self.bank.rows("SELECT 1 FROM bank.postings WHERE $1::text IS NULL OR kind = $1", kind))

    async def effects(self):
        return [row["state"] for row in await self.pool.fetch("SELECT state FROM effects ORDER BY created_at")]


@contextlib.asynccontextmanager
async def call_world(bundle, bank_home):
    dsn, bank = bank_home
    await as_on_the_first_day(dsn, bank)
    settings = load_settings(env={}, overrides={"database": {"pool_size": 8}})
    async with aiohttp.ClientSession() as http:
        pool: asyncpg.Pool = await open_pool(dsn, settings)
        yield CallWorld(bundle, bank, pool, http, Notes())
        pool.terminate()
        await asyncio.sleep(0)


async def read(call, tool, **args):
    return await call.read(Read(1, tool, {name: Personal(value) for name, value in args.items()}))


async def judge(call, proposal):
    return await call.judge(Judge(2, proposal))


async def perform(call, proposal, confirmed=True):
    return await call.perform(Perform(3, proposal, confirmed))


def read_back(call, prompt="p.refund_readback", speech=5, complete=True, minor=1500, currency="GBP", **facts):
    """As the session does: what is read back is named, the sentence is filled and said, then it has ended."""
    call.asked(facts.pop("proposal", None) or refund(), speech)
    known = {"slot.amount.minor": minor, "slot.amount.currency": currency, "slot.txn.merchant": "Northern Rail",
             "slot.txn.date": "2026-11-18", "slot.txn.txn_id": "txn-2", **facts}  # fmt: skip
    text = call.fill(Say(speech, prompt, {name: Personal(value) for name, value in known.items()}))
    call.played(speech, complete)
    return text
