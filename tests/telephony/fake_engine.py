"""An engine without SIP: a test tells it what happens and reads what was asked of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from services.common.personal import Personal
from services.telephony import engine as e
from services.telephony.ledger import RingCounters
from services.telephony.refusals import Refused

PCMU = e.AudioFormat("g711", 8000, 8000, 20, False)


@dataclass
class FakeAudio:
    """The two rings of a call; `tick` is the sender's 20 ms."""

    fmt: e.AudioFormat | None = PCMU
    rx: bytearray = field(default_factory=bytearray)
    tx: bytearray = field(default_factory=bytearray)
    wire: bytearray = field(default_factory=bytearray)
    ring: RingCounters = field(default_factory=RingCounters)
    stale: bool = False
    flush_asked: bool = False

    def open(self) -> e.AudioFormat | None:
        self.stale = False
        return self.fmt

    def restart(self, fmt: e.AudioFormat) -> None:
        """A re-INVITE: new streams, old data lost."""
        self.fmt, self.stale = fmt, True
        self.rx.clear()
        self.tx.clear()
        self.ring = RingCounters(epoch=self.ring.epoch + 1)

    def tick(self) -> None:
        """The sender's thread: flush first, then one frame or silence."""
        if self.flush_asked:
            self.ring.flushed += len(self.tx) // 2
            self.tx.clear()
            self.flush_asked = False
        frame = self.tx[:320]
        del self.tx[:320]
        if not frame:
            self.ring.silence_frames += 1
        elif len(frame) < 320:
            self.ring.starved_frames += 1
        self.wire += frame.ljust(320, b"\0")

    def _check(self) -> None:
        if self.stale:
            raise e.AudioRestartedError

    def read(self, max_bytes: int) -> bytes:
        self._check()
        data = bytes(self.rx[:max_bytes])
        del self.rx[:max_bytes]
        return data

    def write(self, pcm: bytes) -> int:
        self._check()
        self.tx += pcm
        return len(pcm)

    def flush(self) -> None:
        self._check()
        self.flush_asked = True

    def counters(self) -> RingCounters:
        self._check()
        self.ring.fill = len(self.tx) // 2
        return self.ring


class FakeEngine:
    """Implements services.telephony.engine.Engine; `asked` is what it was told, in order."""

    name = "fake"
    version = "0"
    sip_uri = "sip:fake@127.0.0.1:5060"

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.audios: dict[int, FakeAudio] = {}
        self.fail: set[str] = set()
        self.next_handle = 100
        self.emit: Callable[[e.EngineEvent], None] = lambda _event: None
        self.closed = False

    async def start(self, on_event: Callable[[e.EngineEvent], None]) -> None:
        self.emit = on_event

    async def close(self) -> None:
        self.closed = True

    def facts(self) -> dict[str, str]:
        return {"sip_uri": self.sip_uri}

    def audio(self, handle: int) -> FakeAudio:
        return self.audios.setdefault(handle, FakeAudio())

    def incoming(self, handle: int) -> None:
        """An INVITE."""
        uri = Personal("sip:+4930123@x", "uri")
        self.emit(e.IncomingCall(handle, uri, Personal("sip:bot@y", "uri"), f"id-{handle}", {}))

    def _do(self, name: str, *args: object) -> None:
        self.asked.append((name, *args))
        if name in self.fail:
            raise e.EngineError(f"{name}: refused")

    async def answer(self, handle: int) -> None:
        self._do("answer", handle)

    async def reject(self, handle: int, refused: Refused) -> None:
        self._do("reject", handle, refused.sip_status, refused.retry_after_s)

    async def hangup(self, handle: int) -> None:
        self._do("hangup", handle)

    async def hold(self, handle: int, on: bool) -> None:
        self._do("hold", handle, on)

    async def send_dtmf(self, handle: int, digits: Personal[str]) -> None:
        self._do("send_dtmf", handle, digits.reveal())

    async def transfer(self, handle: int, target: Personal[str]) -> None:
        self._do("transfer", handle, target.reveal())

    async def attended_transfer(self, handle: int, consult: int) -> None:
        self._do("attended_transfer", handle, consult)

    async def accept_transfer(self, handle: int) -> int:
        self._do("accept_transfer", handle)
        return self._new()

    async def reject_transfer(self, handle: int) -> None:
        self._do("reject_transfer", handle)

    async def dial(self, target: Personal[str], headers: Mapping[str, Personal[str]]) -> int:
        self._do("dial", target.reveal())
        return self._new()

    def _new(self) -> int:
        self.next_handle += 1
        return self.next_handle
