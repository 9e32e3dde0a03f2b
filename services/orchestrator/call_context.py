"""What the parts of one call share: its id, log, clock, settings, the model services, and its task group."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

import grpc.aio

from services.common.clock import Clock
from services.common.settings import Settings
from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.clients.llm import LlmClient
from services.orchestrator.clients.tts import TtsClient
from services.orchestrator.clients.vad import VadClient
from services.orchestrator.dialogue.ports import Sayer
from services.orchestrator.dialogue.session import Session
from services.orchestrator.event_log import EventLog
from services.orchestrator.events import Event, Stage, StageMeasured
from services.orchestrator.media.leg import LegInfo
from services.orchestrator.media.ticker import Ticker
from services.orchestrator.phrases import Phrasebook


class Conversation(Protocol):
    """A dialogue that has begun, with what has to be done around it."""

    session: Session

    async def start(self) -> None:
        """The first words, or the first words after a cut."""
        ...

    async def call_back(self, reason: str) -> None:
        """Nobody could take the call: somebody is to call back. Durable when it returns. Raises TrunklineError."""
        ...

    async def end(self, *, cut: bool) -> None:
        """The call is over; `cut`: the caller may call again and go on."""
        ...


class Business(Protocol):
    """What a call needs to act for its caller: the bundle's dialogue and the door to its back end (business.py)."""

    bundle: Bundle

    async def open(self, ctx: "CallContext", info: LegInfo, sayer: Sayer) -> Conversation:
        """The dialogue of a new call, or of one that was cut off, to go on with. Raises TrunklineError."""
        ...


Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


@dataclass(frozen=True, slots=True)
class Services:
    """Clients shared by all calls of the process."""

    vad: VadClient
    asr: grpc.aio.Channel
    llm: LlmClient
    tts: TtsClient
    phrases: Phrasebook
    ticker: Ticker
    # None: the agent answers freely and acts on nothing.
    business: Business | None = None


@dataclass(frozen=True, slots=True)
class CallContext:
    """One call's share of everything."""

    call_id: str
    clock: Clock
    settings: Settings
    services: Services
    events: EventLog
    # Starts a task that ends with the call.
    spawn: Spawn

    def log(self, event: Event) -> None:
        """Append to the call's log."""
        self.events.append(event)

    def measure(self, stage: Stage, turn: int, ms: float, at_ns: int) -> None:
        """Record one stage time."""
        self.events.append(StageMeasured(at_ns=at_ns, stage=stage, turn=turn, ms=round(ms, 3)))
