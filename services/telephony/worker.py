"""The worker: the engine's events and the clients' commands meet here, and every poll moves the audio of all legs.

All of it runs on one event loop. Engine actions are awaited in tasks of their own, one bounded set; everything
else is synchronous.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from services.common.clock import Clock
from services.common.log import get_logger
from services.common.personal import Personal
from services.common.settings import TelephonySettings
from services.pb.trunkline.telephony.v1 import telephony_pb2 as pb
from services.telephony import engine as e
from services.telephony import metrics
from services.telephony.actions import Actions
from services.telephony.admission import Admission, TokenBucket
from services.telephony.clients import Client, Clients
from services.telephony.dial import MAX_HEADERS, dial_problem
from services.telephony.farewell import Farewell
from services.telephony.leg_media import FRAME_MS
from services.telephony.leg_types import Output, State, Timeouts
from services.telephony.legs import Leg
from services.telephony.media_loop import MediaLoop
from services.telephony.outbox import OutboxFullError
from services.telephony.pace import Pace
from services.telephony.refusals import SERVICE_UNAVAILABLE, Refused

log = get_logger(__name__)

_TIMER_NS: Final = 100_000_000


class Worker:
    """Owns the legs of one process. `attach` makes a client (an orchestrator worker) known and gives it its outbox."""

    def __init__(self, settings: TelephonySettings, engine: e.Engine, clock: Clock) -> None:
        self._settings = settings
        self._engine = engine
        self._clock = clock
        self._timeouts = Timeouts(
            ring_s=settings.ring_timeout_s, dial_s=settings.dial_timeout_s, media_s=settings.media_timeout_s
        )
        self._unavailable = Refused(SERVICE_UNAVAILABLE, settings.retry_after_s)
        bucket = TokenBucket(settings.max_calls_per_s, max_wait_ns=int(settings.max_rate_wait_s * 1e9))
        self._admission = Admission(settings.max_calls, bucket)
        self._actions = Actions(engine, clock, bucket, self)
        self._legs: dict[int, Leg] = {}
        self._clients = Clients()
        # Offered and not yet answered: what another client is told when the first one dies.
        self._ringing: dict[int, pb.Incoming] = {}
        self._leg_of: dict[int, int] = {}
        self._handles: dict[int, int] = {}
        self._next_leg = 1
        # Legs whose client is gone for good: they belong to nobody, hear their farewell and end.
        self._orphans = Client("", self._media_loop())
        self._leaving: dict[int, Farewell] = {}
        # Dials under way by our own number: the client, and the number it chose.
        self._dials: dict[int, tuple[Client, int]] = {}
        self._next_dial = 1
        self._start_ns = clock.now_ns()
        self._timer_ns = 0
        self._pace = Pace(clock, settings.poll_ms, exact=settings.tx_times)
        self._loop_task: asyncio.Task[None] | None = None
        self.on_fatal: Callable[[], None] = lambda: None

    # ---- life ----

    async def start(self) -> None:
        """Bring the engine up and begin to poll. Raises UnavailableError."""
        await self._engine.start(self.on_engine_event)
        self._loop_task = asyncio.create_task(self._run())
        self._loop_task.add_done_callback(self._loop_ended)

    def drain(self) -> None:
        """Refuse new calls from now on; those there are go on until `close`."""
        self._admission.draining = True

    async def close(self) -> None:
        """Stop polling and let the engine hang up what is left."""
        self.drain()
        if self._loop_task is not None:
            self._loop_task.remove_done_callback(self._loop_ended)
            self._loop_task.cancel()
            await asyncio.wait({self._loop_task})
        await self._actions.close()
        await self._engine.close()

    @property
    def active_legs(self) -> int:
        """Legs that have not ended, dials under way included."""
        return len(self._legs) + len(self._dials)

    @property
    def attached_clients(self) -> int:
        """Clients with an open stream."""
        return self._clients.attached

    def attach(self, attach: pb.Attach) -> Client:
        """A client's stream opens. Raises ClientExistsError while one of its name is attached."""
        client = self._clients.attach(attach, self._media_loop())
        self._admission.client_present = True
        self._pace.wake()
        log.info("client attached", client=client.name, legs=len(client.legs), clients=self._clients.attached)
        return client

    def detach(self, client: Client) -> None:
        """A client is gone: what rings is offered to another, its other legs live on for the grace time."""
        self._clients.detach(client, self._clock.now_ns())
        self._admission.client_present = self._clients.attached > 0
        log.info("client gone", client=client.name, legs=len(client.legs), clients=self._clients.attached)
        for leg_id in sorted(client.legs & self._ringing.keys()):
            if self._legs[leg_id].state is State.RINGING:
                self._offer_again(leg_id)

    # ---- the clients' side ----

    def request(self, client: Client, request: pb.MediaRequest) -> None:
        """What the client says of itself, then audio, then commands, in the order given."""
        if request.HasField("attach"):
            self._clients.update(client, request.attach)
        for frame in request.frames:
            if problem := client.media.play(frame.leg_id, frame.pcm):
                self._fail(client, frame.leg_id, "play", problem)
        for command in request.commands:
            self._command(client, command)

    def _command(self, client: Client, command: pb.Command) -> None:
        kind = command.WhichOneof("command")
        if kind == "dial":
            self._dial(client, command.dial)
            return
        leg = self._legs.get(command.leg_id) if command.leg_id in client.legs else None
        if leg is None:
            self._fail(client, command.leg_id, kind or "none", "no such leg")
            return
        if kind == "transfer" and command.transfer.consult_leg_id not in {0, *client.legs}:
            self._fail(client, command.leg_id, kind, "consult_leg_id: expected another leg of this client")
            return
        self._apply(leg, leg.command(command, self._clock.now_ns()))

    def _dial(self, client: Client, dial: pb.Dial) -> None:
        problem = dial_problem(dial)
        if not problem and (refusal := self._admission.refusal(self.active_legs)):
            metrics.REFUSED.labels(reason=refusal).inc()
            problem = f"the worker takes no more calls ({refusal})"
        if problem:
            self._dial_failed(client, dial.dial_id, problem)
            return
        number, self._next_dial = self._next_dial, self._next_dial + 1
        self._dials[number] = (client, dial.dial_id)
        headers = {name: Personal(value, "header") for name, value in dial.headers.items()}
        if not self._actions.dial(number, Personal(dial.target_uri.strip(), "uri"), headers):
            self.dial_failed(number, "the worker is busy")

    # ---- called by Actions ----

    def dialed(self, dial_id: int, handle: int) -> None:
        """The INVITE is out: the new leg exists."""
        client, chosen = self._dials.pop(dial_id)
        leg = self._new_leg(handle, State.DIALING, client)
        self._event(pb.LegEvent(leg_id=leg.leg_id, dialed=pb.Dialed(dial_id=chosen)))
        if client.outbox is None:
            self._apply(leg, leg.ended_by_us(pb.Ended.CAUSE_FAILED, 0, "the application is gone"))

    def dial_failed(self, dial_id: int, message: str) -> None:
        """No INVITE went out."""
        client, chosen = self._dials.pop(dial_id)
        self._dial_failed(client, chosen, message)

    def transferring_to(self, leg_id: int, handle: int) -> None:
        """A REFER of the far end was accepted: the call it asked for is a leg of its own (dial_id 0)."""
        client = self._clients.owner(leg_id)
        if client is None:
            self._actions.reject_unseen(handle, self._unavailable)
            return
        leg = self._new_leg(handle, State.DIALING, client)
        self._event(pb.LegEvent(leg_id=leg.leg_id, dialed=pb.Dialed()))

    def action_failed(self, leg_id: int, command: str, message: str) -> None:
        """The engine refused an action; a leg that ended meanwhile needs no word about it."""
        if leg := self._legs.get(leg_id):
            self._apply(leg, leg.action_failed(command, message))

    def rate_refused(self, leg_id: int) -> None:
        """The rate limit would hold this answer too long."""
        metrics.REFUSED.labels(reason="rate").inc()
        if leg := self._legs.get(leg_id):
            leg.state = State.RINGING
            self._apply(leg, leg.refused(self._unavailable, "too many calls at once"))

    def handle_of(self, leg_id: int) -> int | None:
        """The engine's handle of a live leg."""
        return self._handles.get(leg_id)

    def clear(self, leg_id: int) -> None:
        """The one action that needs no command to the stack, only its ring."""
        if (client := self._clients.owner(leg_id)) is not None:
            client.media.clear(leg_id, self._clock.now_ns())

    # ---- the engine's side ----

    def on_engine_event(self, event: e.EngineEvent) -> None:
        """Everything the stack reports, in its order."""
        now_ns = self._clock.now_ns()
        if isinstance(event, e.EngineDead):
            log.error("sip engine died", legs=len(self._legs))
            self.on_fatal()
            return
        if isinstance(event, e.IncomingCall):
            self._incoming(event)
            return
        leg = self._legs.get(self._leg_of.get(event.handle, 0))
        if leg is None:
            return
        self._apply(leg, leg.on_event(event, now_ns))
        if leg.state is State.ENDED:
            self._forget(leg, event.handle)

    def _incoming(self, call: e.IncomingCall) -> None:
        client = self._admission.refusal(self.active_legs) or self._clients.choose()
        if not isinstance(client, Client):
            metrics.REFUSED.labels(reason=client).inc()
            log.info("call refused", reason=client, sip_status=self._unavailable.sip_status)
            self._actions.reject_unseen(call.handle, self._unavailable)
            return
        leg = self._new_leg(call.handle, State.RINGING, client)
        log.info("call incoming", leg=leg.leg_id, caller=call.from_uri, client=client.name)
        headers = {name: value.reveal() for name, value in list(call.headers.items())[:MAX_HEADERS]}
        incoming = pb.Incoming(
            from_uri=call.from_uri.reveal(),
            to_uri=call.to_uri.reveal(),
            sip_call_id=call.sip_call_id,
            headers=headers,
        )
        self._ringing[leg.leg_id] = incoming
        self._event(pb.LegEvent(leg_id=leg.leg_id, incoming=incoming))

    def _offer_again(self, leg_id: int) -> None:
        """Its client died before it answered: the caller still hears ringing and need not know."""
        client = self._clients.choose()
        before = self._clients.owner(leg_id)
        if not isinstance(client, Client) or before is None:
            return
        before.media.remove(leg_id)
        self._clients.own(leg_id, client)
        client.media.add(self._legs[leg_id], self._engine.audio(self._handles[leg_id]))
        log.info("call offered again", leg=leg_id, client=client.name)
        self._event(pb.LegEvent(leg_id=leg_id, incoming=self._ringing[leg_id]))

    # ---- audio ----

    async def _run(self) -> None:
        while True:
            self.poll(await self._pace.next(self.active_legs))

    def poll(self, now_ns: int) -> None:
        """Move the audio of all legs, look at deadlines, and hand a message over when there is something to say."""
        if now_ns >= self._timer_ns:
            self._timer_ns = now_ns + _TIMER_NS
            self._timers(now_ns)
        for client in self._clients:
            self._poll(client, now_ns)
        for leg_id, farewell in self._leaving.items():
            if pcm := farewell.take(now_ns):
                self._orphans.media.play(leg_id, pcm)
        self._orphans.media.poll(now_ns, None)

    def _orphan(self, leg: Leg, client: Client, now_ns: int) -> None:
        client.media.move(leg.leg_id, self._orphans.media)
        self._clients.own(leg.leg_id, self._orphans)
        pcm = client.farewells.get(leg.fmt.tx_rate_hz) if leg.fmt and leg.state is State.ESTABLISHED else None
        if pcm and leg.fmt:
            self._leaving[leg.leg_id] = Farewell(pcm, leg.fmt.tx_rate_hz, now_ns)
        else:
            self._end_orphan(leg)

    def _end_orphan(self, leg: Leg) -> None:
        self._apply(leg, leg.ended_by_us(pb.Ended.CAUSE_FAILED, 0, "the application is gone"))

    def _poll(self, client: Client, now_ns: int) -> None:
        outbox, response = client.outbox, client.pending
        client.media.poll(now_ns, response if outbox is not None else None)
        if outbox is None or not (response.frames or response.events):
            return
        client.pending = pb.MediaResponse()
        response.tick = (now_ns - self._start_ns) // (FRAME_MS * 1_000_000)
        response.monotonic_ns = now_ns
        try:
            outbox.put(response)
        except OutboxFullError:
            log.error("client does not read, its stream is closed", client=client.name)
            outbox.fail()

    def _formatted(self, leg: Leg, fmt: e.AudioFormat) -> None:
        self._apply(leg, leg.on_format(fmt, self._clock.now_ns()))

    # ---- inner parts ----

    def _media_loop(self) -> MediaLoop:
        settings = self._settings
        return MediaLoop(self._event, self._formatted, note_sends=settings.tx_times, committed_ms=settings.committed_ms)

    def _new_leg(self, handle: int, state: State, client: Client) -> Leg:
        leg = Leg(self._next_leg, state, self._clock.now_ns(), self._timeouts, self._unavailable)
        self._next_leg += 1
        self._legs[leg.leg_id] = leg
        self._leg_of[handle] = leg.leg_id
        self._handles[leg.leg_id] = handle
        self._clients.own(leg.leg_id, client)
        client.media.add(leg, self._engine.audio(handle))
        self._pace.wake()
        metrics.ACTIVE_LEGS.set(len(self._legs))
        return leg

    def _forget(self, leg: Leg, handle: int) -> None:
        self._legs.pop(leg.leg_id, None)
        self._leg_of.pop(handle, None)
        self._handles.pop(leg.leg_id, None)
        self._ringing.pop(leg.leg_id, None)
        self._leaving.pop(leg.leg_id, None)
        if (client := self._clients.owner(leg.leg_id)) is not None:
            client.media.remove(leg.leg_id)
        self._clients.disown(leg.leg_id)
        metrics.ACTIVE_LEGS.set(len(self._legs))

    def _apply(self, leg: Leg, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, pb.LegEvent):
                self._event(output)
                if output.HasField("ended"):
                    cause = pb.Ended.Cause.Name(output.ended.cause).removeprefix("CAUSE_").lower()
                    metrics.ENDED.labels(cause=cause).inc()
                    log.info("leg ended", leg=leg.leg_id, cause=cause, sip_status=output.ended.sip_status)
            else:
                self._actions.do(leg.leg_id, output)

    def _timers(self, now_ns: int) -> None:
        grace_ns = self._settings.client_grace_s * 1e9
        for client in self._clients:
            if client.detached_ns is not None and now_ns - client.detached_ns >= grace_ns:
                self._clients.forget(client)
                for leg_id in sorted(client.legs):
                    self._orphan(self._legs[leg_id], client, now_ns)
        for leg_id, farewell in list(self._leaving.items()):
            if farewell.over(now_ns):
                del self._leaving[leg_id]
                self._end_orphan(self._legs[leg_id])
        for leg in list(self._legs.values()):
            self._apply(leg, leg.on_time(now_ns))

    def _event(self, event: pb.LegEvent) -> None:
        if (client := self._clients.owner(event.leg_id)) is not None:
            self._tell(client, event)

    def _tell(self, client: Client, event: pb.LegEvent) -> None:
        if client.outbox is None and client.detached_ns is None:
            return
        event.monotonic_ns = self._clock.now_ns()
        client.pending.events.append(event)
        self._pace.wake()

    def _fail(self, client: Client, leg_id: int, command: str, message: str) -> None:
        failed = pb.CommandFailed(command=command, message=message)
        self._tell(client, pb.LegEvent(leg_id=leg_id, command_failed=failed))

    def _dial_failed(self, client: Client, dial_id: int, message: str) -> None:
        failed = pb.CommandFailed(command="dial", message=message, dial_id=dial_id)
        self._tell(client, pb.LegEvent(command_failed=failed))

    def _loop_ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("media loop failed", error=type(error).__name__, exc_info=error)
            self.on_fatal()
