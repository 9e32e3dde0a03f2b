"""Control of one process put together: stores, room, reviews, recovery; for a worker, and for a person's command."""

from collections import OrderedDict
from dataclasses import dataclass

import aiohttp
import asyncpg

from services.common.clock import Clock
from services.common.settings import Settings
from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.control.facade import ControlLayer
from services.orchestrator.control.facts import Caller
from services.orchestrator.control.recovery import Recovery
from services.orchestrator.control.review import Reviewing
from services.orchestrator.control.room import KEPT_BUNDLES, ControlRoom
from services.orchestrator.dialogue.locales import pack
from services.orchestrator.store.bundles import BundleStore
from services.orchestrator.store.callbacks import CallbackStore
from services.orchestrator.store.effect_audit import Told, plain_row
from services.orchestrator.store.effects import EffectStore
from services.orchestrator.store.reviews import ReviewStore
from services.records.audit_log import AuditSink
from services.records.keys import load_key_ring


@dataclass(frozen=True, slots=True)
class ControlWorker:
    """What a process has of control. `close` when it ends."""

    room: ControlRoom
    reviewing: Reviewing
    recovery: Recovery
    _http: aiohttp.ClientSession

    def call(self, bundle: Bundle, call_id: str, caller: Caller, locale: str) -> ControlLayer:
        """The control layer of a new call, or of one that this worker goes on with."""
        return ControlLayer(self.room, bundle, call_id, caller, locale, pack(locale, bundle.agent.locales[locale]))

    async def close(self) -> None:
        """Acts under way end first: each has its own deadlines."""
        await self.room.drain()
        await self._http.close()


def open_control(
    settings: Settings, pool: asyncpg.Pool, audit: AuditSink, clock: Clock, told: Told = plain_row
) -> ControlWorker:
    """On the running event loop. `told`: AuditLog.pending_row. Raises SettingsError for a key that is not fit."""
    ring = load_key_ring(settings)
    http = aiohttp.ClientSession()
    room = ControlRoom(EffectStore(pool, ring, told), audit, settings.control.backends, http, clock)
    bundles = _Bundles(BundleStore(pool), settings.bundles.trusted())
    reviewing = Reviewing(
        room, ReviewStore(pool, told), CallbackStore(pool, told), bundles.load, settings.control.review_s
    )
    room.reviewing = reviewing
    recovery = Recovery(room, reviewing, bundles.load, settings.control.left_open_s, settings.control.queue_s)
    return ControlWorker(room, reviewing, recovery, http)


class _Bundles:
    """The versions that acts were judged by, loaded once."""

    def __init__(self, store: BundleStore, trusted: frozenset[bytes] | None) -> None:
        self._store, self._trusted = store, trusted
        self._kept: OrderedDict[str, Bundle] = OrderedDict()

    async def load(self, digest: str) -> Bundle:
        """Raises TrunklineError when it is not there, or not to be trusted."""
        if digest not in self._kept:
            self._kept[digest] = await self._store.load(digest, self._trusted)
            while len(self._kept) > KEPT_BUNDLES:
                self._kept.popitem(last=False)
        return self._kept[digest]
