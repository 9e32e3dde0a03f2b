"""One call, from ring to hang-up: the leg's events go in, the turn-taker decides, listener and agent carry out.

All tasks of a call live in one task group: when the call is over, all of them are.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from services.common.clock import Clock, sleep_s
from services.common.deadline import within
from services.common.errors import TrunklineError
from services.common.log import get_logger
from services.common.personal import Personal
from services.common.settings import Settings
from services.orchestrator import events as ev
from services.orchestrator.agent import Agent
from services.orchestrator.call_context import CallContext, Services
from services.orchestrator.calls import CallHandle
from services.orchestrator.conductor import Conductor
from services.orchestrator.desk import Desk
from services.orchestrator.faults import ServiceName
from services.orchestrator.listener import Listener
from services.orchestrator.media.front_end import FrontEnd, TappedLine
from services.orchestrator.media.leg import Leg, LegFormat, Playout
from services.orchestrator.media.mouth import Line, Mouth
from services.orchestrator.turns import signals as on

log = get_logger(__name__)

ESTABLISH_DEADLINE_S = 20.0
HANGUP_DEADLINE_S = 3.0
LAST_WORDS_DEADLINE_S = 15.0
# A transfer that nobody has taken by then is not going to be.
TRANSFER_DEADLINE_S = 20.0
# Ends that the caller did not choose.
CUT = ("failed", "media_timeout")
# Acts that are under way when the caller hangs up have deadlines of their own; nobody waits longer for them.
DESK_DEADLINE_S = 30.0
# A service that is back within this time was not missed.
PATIENCE_S = 1.5
SIP_UNAVAILABLE = 503


class CallStore(Protocol):
    """Where calls are kept. `begin` returns when the call's row is durable; raises TrunklineError when it cannot."""

    async def begin(self, handle: CallHandle) -> None: ...


class NoStore:
    """Keeps nothing (tests, tools)."""

    async def begin(self, handle: CallHandle) -> None:
        """Nothing to do."""


class _CallOverError(Exception):
    """Ends the task group."""


class Call:
    """Implements LegSink and RunningCall."""

    def __init__(
        self, handle: CallHandle, leg: Leg, services: Services, settings: Settings, clock: Clock, store: CallStore
    ) -> None:
        self._handle = handle
        self._leg = leg
        self._store = store
        self._clock = clock
        self._ctx = CallContext(handle.call_id, clock, settings, services, handle.events, self._spawn)
        self.conductor = Conductor(self._ctx, lambda: "asr" in self._down)
        self._listener: Listener | None = None
        self._front_end: FrontEnd | None = None
        self._agent: Agent | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._over = asyncio.Event()
        self._established = asyncio.Event()
        self._down: set[ServiceName] = set()
        self._cause: tuple[str, str] | None = None
        self._hung_up = ""

    # ---- life

    async def run(self) -> None:
        """From ring to hang-up. Raises what went wrong inside, after the leg is gone."""
        info = self._leg.info
        self._ctx.log(
            ev.CallStarted(
                at_ns=self._clock.now_ns(),
                transport=info.transport,
                caller=info.caller,
                callee=info.callee,
                peer_reference=info.peer_reference,
            )
        )
        try:
            await self._store.begin(self._handle)
        except TrunklineError:
            self._ctx.log(
                ev.ServiceFailed(at_ns=self._clock.now_ns(), service="database", code="begin", will_retry=False)
            )
            self._leg.reject(SIP_UNAVAILABLE)
            self._end("rejected", "database")
            self._close()
            raise
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                self._leg.bind(self)
                self._leg.answer()
                tasks.create_task(self._limits())
                await self._over.wait()
                raise _CallOverError
        except* _CallOverError:
            pass
        finally:
            self._tasks = None
            self._close()
            await self._close_desk()

    def hangup(self, reason: str) -> None:
        """End the call from our side."""
        if not self._hung_up:
            self._hung_up = reason
            self._leg.hangup()
            self._spawn(self._force_end())

    def _close(self) -> None:
        self._ctx.services.ticker.remove(self)
        if self._listener is not None:
            self._listener.close()
        if self._cause is None:
            self._leg.hangup()
        if self._agent is not None:
            self._agent.close()
        if self._front_end is not None and self._front_end.delay_ms is not None:
            log.info("the line had an echo", call_id=self._handle.call_id, delay_ms=round(self._front_end.delay_ms))
        cause, detail = self._cause or ("failed", "internal error")
        self._ctx.log(ev.CallEnded(at_ns=self._clock.now_ns(), cause=cause, detail=detail))

    async def _close_desk(self) -> None:
        """Acts that are under way end; whether the caller may go on in another call is known by how this one ended."""
        desk = self._agent.desk if self._agent is not None else None
        if desk is None:
            return
        cause, detail = self._cause or ("failed", "internal error")
        try:
            await within(self._clock, DESK_DEADLINE_S, desk.close(cut=cause in CUT or detail == "drain"))
        except (TrunklineError, TimeoutError) as error:
            log.warning("dialogue not closed", call_id=self._handle.call_id, failed=type(error).__name__)

    def _end(self, cause: str, detail: str) -> None:
        if self._cause is None:
            self._cause = (cause, self._hung_up or detail)
        self._over.set()

    async def _limits(self) -> None:
        """Deadlines of the call as a whole."""
        await sleep_s(self._clock, ESTABLISH_DEADLINE_S)
        if not self._established.is_set():
            self._leg.hangup()
            self._end("failed", "no media")
            return
        await sleep_s(self._clock, self._ctx.settings.orchestrator.max_call_s)
        if self._agent is not None:
            self._agent.goodbye("max call length", self._ctx.settings.agent.time_over)
        await sleep_s(self._clock, LAST_WORDS_DEADLINE_S)
        self.hangup("max call length")

    async def _force_end(self) -> None:
        """A leg that does not say that it ended must not keep the call."""
        await sleep_s(self._clock, HANGUP_DEADLINE_S)
        self._end("local_hangup", "leg did not answer")

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        if self._tasks is None or self._over.is_set():
            coroutine.close()
            return _done()
        return self._tasks.create_task(coroutine)

    # ---- LegSink

    def on_established(self, fmt: LegFormat) -> None:
        """Media flows, or the codec changed."""
        self._guard(lambda: self._on_established(fmt))

    def on_audio(self, pcm: bytes, received_ns: int) -> None:
        """The caller's audio."""
        if self._listener is not None and not self._over.is_set():
            try:
                self._listener.on_audio(pcm, received_ns)
            except Exception as error:  # noqa: BLE001  # one call must never harm another
                self._crash(error)

    def on_playout(self, playout: Playout, at_ns: int) -> None:
        """Progress of playing."""
        if self._agent is not None and not self._over.is_set():
            try:
                if self._front_end is not None:
                    self._front_end.on_playout(playout, at_ns)
                self._agent.speaking.on_playout(playout, at_ns)
            except Exception as error:  # noqa: BLE001  # one call must never harm another
                self._crash(error)

    def on_dtmf(self, digit: Personal[str], duration_ms: int) -> None:
        """A key; a secret one goes to the turn-taker alone."""
        now_ns = self._clock.now_ns()
        masked = self.conductor.questions.masked(now_ns)
        shown = Personal("", "dtmf") if masked else digit
        self._ctx.log(ev.DtmfReceived(at_ns=now_ns, digit=shown, duration_ms=duration_ms, masked=masked))
        self._feed(on.KeyPressed(now_ns, digit))

    def on_hold(self, held: bool) -> None:
        """The far end put us on hold, or took us back."""
        self._guard(lambda: self._on_hold(held))

    def on_ended(self, cause: str, detail: str) -> None:
        """The leg is gone."""
        self._end(cause, detail)

    def _on_established(self, fmt: LegFormat) -> None:
        self._ctx.log(
            ev.CallAnswered(
                at_ns=self._clock.now_ns(), codec=fmt.codec, rx_rate_hz=fmt.rx_rate_hz, tx_rate_hz=fmt.tx_rate_hz
            )
        )
        if self._listener is not None and self._agent is not None:
            self._listener.set_rate(fmt.rx_rate_hz)
            if self._front_end is not None:
                self._front_end.set_rate(fmt.tx_rate_hz)
            self._agent.speaking.set_format(fmt)
            return
        self._established.set()
        committed_ms = self._ctx.settings.orchestrator.committed_ms
        line: Line = self._leg
        if self._ctx.settings.orchestrator.front_end.aec == "vad":
            self._front_end = FrontEnd(fmt.tx_rate_hz)
            line = TappedLine(self._leg, self._front_end.reference)
        self._listener = self.conductor.listener = Listener(
            self._ctx, fmt.rx_rate_hz, self._feed, self._on_service, self._front_end
        )
        self._agent = self.conductor.agent = Agent(
            self._ctx,
            lambda sink: Mouth(line, fmt, committed_ms, sink),
            self.conductor.questions,
            self._feed,
            self.hangup,
        )
        self._listener.on_words = self._agent.listening
        self._open_desk(self._agent)
        self._spawn(self._listener.run())
        self._ctx.services.ticker.add(self, self._tick)
        self._agent.greet()

    def _open_desk(self, agent: Agent) -> None:
        business = self._ctx.services.business
        if business is not None:
            agent.desk = Desk(self._ctx, business.bundle, self.conductor.questions, agent, self._transfer)
            agent.desk.begin(business, self._leg.info)

    def _transfer(self, target: str, reason: str) -> None:
        """To a person: the caller's telephone is told to call there (REFER)."""
        try:
            self._leg.transfer(Personal(target, "uri"))
        except TrunklineError as error:
            self._spawn(self._nobody_there(target, type(error).__name__, reason))
            return
        self._spawn(self._watch_transfer(target, reason))

    async def _watch_transfer(self, target: str, reason: str) -> None:
        await sleep_s(self._clock, TRANSFER_DEADLINE_S)
        await self._nobody_there(target, "no answer", reason)

    async def _nobody_there(self, target: str, why: str, reason: str) -> None:
        """Never a loop, never silence: somebody calls back, and the caller is told so."""
        agent = self._agent
        if agent is None or agent.desk is None or agent.ending:
            return
        self._ctx.log(ev.HandoverFailed(at_ns=self._clock.now_ns(), route=target, reason=why))
        sentences = self._ctx.settings.agent
        try:
            await agent.desk.call_back(reason)
            agent.goodbye("handover", sentences.call_back)
        except TrunklineError:
            agent.goodbye("handover", sentences.nobody_there)

    def _tick(self, now_ns: int) -> None:
        agent = self._agent
        if agent is not None:
            self._guard(lambda: agent.speaking.tick(now_ns))

    def _on_hold(self, held: bool) -> None:
        now_ns = self._clock.now_ns()
        self._ctx.log(ev.HoldChanged(at_ns=now_ns, held=held))
        if self._listener is not None and self._agent is not None:
            self._listener.held = held
            self._agent.speaking.hold(held)
        self._feed(on.HoldChanged(now_ns, held))

    # ---- faults

    def _on_service(self, service: ServiceName, up: bool, code: str) -> None:
        if up:
            self._down.discard(service)
            if self._agent is not None:
                self._agent.service_answered(service)
        elif service not in self._down:
            self._down.add(service)
            log.warning("service lost in call", call_id=self._handle.call_id, lost=service, code=code)
            self._spawn(self._watch_outage(service))

    async def _watch_outage(self, service: ServiceName) -> None:
        """The call is deaf: after a moment say so, after a while end politely."""
        await sleep_s(self._clock, PATIENCE_S)
        while service in self._down and self._agent is not None and not self._agent.ending:
            # Without words to lose, a recogniser may be away.
            if service == "vad" or self.conductor.utterance_open:
                self._agent.trouble(service)
            await sleep_s(self._clock, 2 * PATIENCE_S)

    def _feed(self, signal: on.Signal) -> None:
        """To the turn-taker, while there is a call to decide about."""
        if self._agent is not None and not self._over.is_set():
            try:
                self.conductor.feed(signal)
            except Exception as error:  # noqa: BLE001  # one call must never harm another
                self._crash(error)

    def _guard(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001  # one call must never harm another
            self._crash(error)

    def _crash(self, error: Exception) -> None:
        log.error("call crashed", call_id=self._handle.call_id, error=type(error).__name__, exc_info=error)
        self._leg.hangup()
        self._end("failed", "internal error")


def _done() -> "asyncio.Task[None]":
    async def nothing() -> None:
        return None

    return asyncio.get_running_loop().create_task(nothing())
