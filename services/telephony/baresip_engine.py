"""The SIP/RTP engine on baresip-python 0.5.2a3: one Runtime, one account, calls by handle.

Calls are driven through `Runtime.cmd` and the event stream rather than through the binding's `Call` objects: those
subscribe only after `dial()` has returned, and an event that comes in between is lost. That is the weakness seen at
40 calls a second; here a call exists from its first event on, and events of a call that is still being dialled wait
until its handle is known.
"""

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from typing import Any, Final

import baresip
from baresip import Account, Config, Event, Runtime, StackEvent, UserAgent, _events, _native
from baresip._native import ffi, lib
from baresip.errors import BaresipError

from services.common.clock import Clock, sleep_s
from services.common.errors import UnavailableError
from services.common.log import get_logger
from services.common.personal import Personal
from services.common.settings import TelephonySettings
from services.telephony import baresip_config as conf
from services.telephony import engine as e
from services.telephony.baresip_audio import BaresipAudio
from services.telephony.baresip_events import DIGITS, NativeCall, incoming_call, translate
from services.telephony.engine_log import take_over
from services.telephony.native_reject import NativeReject, Sink
from services.telephony.priority import MediaThreads
from services.telephony.refusals import BUSY, Refused
from services.telephony.registration import Registration
from services.telephony.sip_port import WILDCARDS, advertised_host, free_sip_port

log = get_logger(__name__)

TONE_S: Final = 0.1
GAP_S: Final = 0.1
HOLD_TRIES: Final = 20
HOLD_PAUSE_S: Final = 0.05
RAISE_AFTER_S: Final = 0.02


class BaresipEngine:
    """Implements services.telephony.engine.Engine."""

    name = "baresip"

    def __init__(self, settings: TelephonySettings, clock: Clock) -> None:
        conf.validate(settings.sip)
        self._settings = settings
        self._sip = settings.sip
        self._clock = clock
        self._password = conf.read_password(settings.sip.password_file)
        self._port = settings.sip.port
        self._runtime: Any = None
        self._ua: Any = None
        self._calls: dict[int, NativeCall] = {}
        self._emit: Callable[[e.EngineEvent], None] = lambda _event: None
        self._registration: Registration | None = None
        self._threads = MediaThreads()
        self._raising: asyncio.Task[None] | None = None
        self._native_reject: NativeReject | None = None

    # ---- life ----

    @property
    def version(self) -> str:
        """Of the binding and of the stack below it."""
        return f"{baresip.__version__} (libre {ffi.string(lib.bp_version()).decode()})"

    @property
    def sip_uri(self) -> str:
        """Where this worker is called."""
        return f"sip:{self._sip.user}@{advertised_host(self._sip.bind)}:{self._port};transport={self._sip.transport}"

    def facts(self) -> dict[str, str]:
        """For Describe."""
        low, high = self._settings.jitter_buffer_ms
        return {
            "sip_uri": self.sip_uri,
            "codecs": ",".join(self._sip.codecs),
            "srtp": self._sip.srtp,
            "jitter_buffer": "off"
            if self._settings.jitter_buffer == "off"
            else f"{self._settings.jitter_buffer} {low}-{high} ms",
            "rtp_ports": f"{self._sip.rtp_ports[0]}-{self._sip.rtp_ports[1]}",
            "reject_status": "any" if self._native_reject else "486",
            "registered": "not asked" if self._registration is None else "yes" if self._registration.stands else "no",
        }

    async def start(self, on_event: Callable[[e.EngineEvent], None]) -> None:
        """Bring the stack up. Raises UnavailableError when the SIP port is taken or the stack refuses."""
        take_over()
        self._emit = on_event
        self._port = free_sip_port(self._sip.bind, self._sip.port, tls=self._sip.transport == "tls")
        account = conf.account_line(self._sip, f"{advertised_host(self._sip.bind)}:{self._port}")
        runtime = Runtime(native_log_level="warning")
        runtime.on_dead = lambda: on_event(e.EngineDead())
        config = Config(
            net_interface=None if self._sip.bind in WILDCARDS else self._sip.bind,
            # To is asked for as a header: the stack's own event names only the caller.
            expose_headers=("To", *self._sip.expose_headers),
            native_log_level="warning",
            max_concurrent_calls=self._settings.max_calls + conf.CAP_HEADROOM,
            rtp_timeout=int(self._settings.media_timeout_s),
            extra_config_text=conf.config_text(self._settings, self._port),
        )
        try:
            await runtime.start(config)
            self._runtime = runtime
            runtime.subscribe(self._on_stack_event)
            self._native_reject = _native_reject()
            self._ua = await UserAgent.create(
                runtime,
                Account(
                    user=account.user,
                    domain=account.domain,
                    password=self._password,
                    reg_interval=account.reg_interval_s,
                    transport=self._sip.transport,
                    audio_codecs=account.codecs,
                    auth_user=self._sip.auth_user or None,
                    extra_params=account.extra,
                ),
            )
        except (BaresipError, ValueError) as error:
            raise UnavailableError(
                f"The SIP engine did not start on {self._sip.bind}:{self._port} ({type(error).__name__}).",
                remedy="Check telephony.sip: bind must be an address of this machine and the port free.",
            ) from error
        if self._sip.registrar:
            self._registration = Registration(self._ua, self._clock)

    async def close(self) -> None:
        """Hang up what is left (the stack sends BYE) and stop."""
        if self._runtime is None:
            return
        try:
            if self._raising is not None:
                await self._raising
            if self._registration is not None:
                await self._registration.close()
            await self._runtime.close()
        except BaresipError as error:
            log.warning("sip engine did not close cleanly", error=type(error).__name__)

    # ---- actions ----

    def audio(self, handle: int) -> BaresipAudio:
        """The rings of one call."""
        return BaresipAudio(handle, self._sip.codecs, self._sip.srtp != "off", self._streams_started)

    def _streams_started(self) -> None:
        """A call has new media threads; one look at them serves all calls that started together."""
        if self._settings.nice < 0 and (self._raising is None or self._raising.done()):
            self._raising = asyncio.create_task(self._raise_threads())

    async def _raise_threads(self) -> None:
        # A moment's wait gathers a burst, and lets the sender's thread start.
        await sleep_s(self._clock, RAISE_AFTER_S)
        await asyncio.to_thread(self._threads.raise_new)

    async def answer(self, handle: int) -> None:
        """200 OK; CallEstablished follows the ACK."""
        await self._act(lib.BP_CMD_CALL_ANSWER, f"{handle} 0", "answer")

    async def reject(self, handle: int, refused: Refused) -> None:
        """The final response asked for; 486 Busy Here where the stack cannot be made to say it."""
        call = self._calls.get(handle)
        if self._native_reject is not None and call is not None and refused != BUSY:
            wish = self._native_reject.wish(handle, call.sip_call_id, refused)
            await self._act(lib.BP_CMD_PING, "", "reject")
            if wish.sent:
                return
        await self._act(lib.BP_CMD_CALL_REJECT, str(handle), "reject")

    async def hangup(self, handle: int) -> None:
        """BYE, or CANCEL before the answer."""
        await self._act(lib.BP_CMD_CALL_HANGUP, str(handle), "hangup")

    async def hold(self, handle: int, on: bool) -> None:
        """Re-INVITE with sendonly or sendrecv."""
        for _ in range(HOLD_TRIES):
            if await self._hold_once(handle, on):
                return
            await sleep_s(self._clock, HOLD_PAUSE_S)
        raise e.EngineError("hold: another re-INVITE stays in flight")

    async def _hold_once(self, handle: int, on: bool) -> bool:
        """False when no re-INVITE went out because another one is in flight."""
        call = self._calls.get(handle)
        if call is None:
            raise e.EngineError("hold: the call has ended")
        before = call.offers
        await self._act(lib.BP_CMD_CALL_HOLD, f"{handle} {int(on)}", "hold")
        if call.offers > before:
            return True
        # The stack flips its flag and says yes all the same: flip it back, or the next try would do nothing.
        await self._act(lib.BP_CMD_CALL_HOLD, f"{handle} {int(not on)}", "hold")
        return False

    async def send_dtmf(self, handle: int, digits: Personal[str]) -> None:
        """RFC 4733 events, 100 ms each; digits of one call never overlap."""
        call = self._calls.get(handle)
        if call is None:
            raise e.EngineError("the call has ended")
        async with call.dtmf:
            for digit in digits.reveal():
                if digit not in DIGITS:
                    raise e.EngineError("not a DTMF digit")
                await self._act(lib.BP_CMD_CALL_SEND_DIGIT, f"{handle} {digit}", "send_dtmf")
                await sleep_s(self._clock, TONE_S)
                await self._act(lib.BP_CMD_CALL_SEND_DIGIT, f"{handle} R", "send_dtmf")
                await sleep_s(self._clock, GAP_S)

    async def transfer(self, handle: int, target: Personal[str]) -> None:
        """REFER; the outcome comes as TransferDone or as the call's end."""
        await self._act(lib.BP_CMD_CALL_TRANSFER, f"{handle} {target.reveal()}", "transfer")

    async def attended_transfer(self, handle: int, consult: int) -> None:
        """REFER with Replaces; both calls are put on hold first, as peers expect."""
        for each in (handle, consult):
            try:
                await self.hold(each, True)
            except e.EngineError:
                log.info("transfer goes on without hold")
        await self._act(lib.BP_CMD_CALL_REPLACE_TRANSFER, f"{handle} {consult}", "transfer")

    async def accept_transfer(self, handle: int) -> int:
        """Dial the REFER's target; the stack ends this call when the new one is answered."""
        call = self._calls.get(handle)
        if call is None or not call.refer_to:
            raise e.EngineError("no transfer is pending")
        refer_to, call.refer_to = call.refer_to, ""
        payload = await self._act(lib.BP_CMD_CALL_TRANSFER_ACCEPT, f"{handle} {refer_to}", "answer_transfer")
        return self._claim(payload)

    async def reject_transfer(self, handle: int) -> None:
        """The final NOTIFY says 603."""
        if call := self._calls.get(handle):
            call.refer_to = ""
        await self._act(lib.BP_CMD_CALL_TRANSFER_REJECT, f"{handle} 603", "answer_transfer")

    async def dial(self, target: Personal[str], headers: Mapping[str, Personal[str]]) -> int:
        """INVITE. Raises EngineError when the stack cannot send one (no route, malformed URI)."""
        args = f"{self._ua.handle} 0 {conf.dial_uri(target.reveal(), self._sip.transport)}"
        for name, value in headers.items():
            args += f"\n{name}: {value.reveal()}"
        return self._claim(await self._act(lib.BP_CMD_UA_CONNECT, args, "dial"))

    def _claim(self, payload: dict[str, Any]) -> int:
        """The new call's handle; its events are released once the caller has had the chance to note it."""
        handle = int(payload["handle"])
        self._calls.setdefault(handle, NativeCall(handle, claimed=False))
        asyncio.get_running_loop().call_soon(self._release, handle)
        return handle

    def _release(self, handle: int) -> None:
        call = self._calls.get(handle)
        if call is None:
            return
        call.claimed = True
        held, call.held = call.held, []
        for event in held:
            self._deliver(call, event)

    async def _act(self, command: int, args: str, name: str) -> dict[str, Any]:
        """One command to the stack's thread. Raises EngineError with a text free of values."""
        if "\x00" in args:
            raise e.EngineError(f"{name}: a value holds a NUL")
        try:
            outcome, payload = await self._runtime.cmd(command, args=args)
        except BaresipError as error:
            raise e.EngineError(f"{name}: the SIP engine is not answering ({type(error).__name__})") from None
        if outcome == lib.BP_EV_STALE_HANDLE:
            raise e.EngineError(f"{name}: the call has ended")
        data: dict[str, Any] = json.loads(payload) if payload else {}
        if problem := data.get("error"):
            code = data.get("errno")
            raise e.EngineError(f"{name}: {_PROBLEMS.get(problem, os.strerror(code) if code else str(problem))}")
        return data

    # ---- events ----

    def _on_stack_event(self, event: StackEvent) -> None:
        """On the event loop, in the order of the stack's thread."""
        kind = event.event
        if kind in (Event.REGISTER_OK, Event.REGISTER_FAIL):
            if self._registration is not None:
                self._registration.changed(kind is Event.REGISTER_OK)
            return
        if not event.call:
            return
        if kind is Event.CALL_INCOMING:
            self._calls[event.call] = NativeCall(event.call, claimed=True, sip_call_id=event.call_id or "")
            self._emit(incoming_call(event))
            return
        if kind is Event.CALL_OUTGOING:
            self._calls[event.call] = NativeCall(event.call, claimed=False)
            return
        call = self._calls.get(event.call)
        if call is not None and (translated := translate(call, event, self._clock.now_ns())) is not None:
            self._deliver(call, translated)

    def _deliver(self, call: NativeCall, event: e.CallEvent) -> None:
        if not call.claimed:
            call.held.append(event)
            return
        if isinstance(event, e.CallClosed):
            self._calls.pop(call.handle, None)
        self._emit(event)


def _native_reject() -> NativeReject | None:
    """Stand before the binding's sink of events; None, with a word in the log, where the stack cannot be reached so."""
    try:
        # The binding keeps its one consumer of native events there, and gives no other way to it.
        before: Sink = vars(_events)["_sink"]
        reject = NativeReject(_native, lib.BP_EV_PONG, before)
    except OSError as error:
        log.warning("sip engine can refuse with 486 only", error=str(error))
        return None
    _events.set_sink(reject)  # type: ignore[no-untyped-call]
    return reject


_PROBLEMS: Final = {
    "no_laddr": "no local address reaches the target",
    "replaces_unsupported": "the far end does not support Replaces",
    "table_full": "too many calls",
}
