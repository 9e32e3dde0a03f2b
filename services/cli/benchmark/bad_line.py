"""How the callers of a cell reach the stack: straight, or over a line that loses some of what they send.

SIP callers go through a UDP relay of our own, WebRTC callers lose packets between RTP and SRTP (`services.cli.lossy`);
both need no root and harm no other traffic. Only the caller's direction suffers.
"""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

from services.cli.benchmark.request import BenchRequest, Cell
from services.cli.benchmark.scripts import has_loss
from services.cli.caller import CallerLeg, Dialer
from services.cli.dialers import open_dialer, stack_target
from services.cli.lossy import LineQuality, LossyLine
from services.cli.lossy_relay import SipRelay, target_of
from services.cli.stack import Launch
from services.cli.webrtc_caller import WebRtcCaller
from services.common.clock import Clock


@dataclass(slots=True)
class BadLine:
    """`dial` places one call; `pids` are the callers' own processes."""

    dialer: Dialer
    address: str
    pids: dict[str, int]
    quality: LineQuality | None = None
    relay: SipRelay | None = None
    _lines: list[LossyLine] = field(default_factory=list)

    async def dial(self) -> CallerLeg:
        """See `Dialer.dial`."""
        leg = await self.dialer.dial(self.address)
        if self.quality is not None and isinstance(leg, WebRtcCaller):
            line = LossyLine(replace(self.quality, seed=self.quality.seed + len(self._lines)))
            leg.lose(line)
            self._lines.append(line)
        return leg

    def lost_share(self) -> float | None:
        """Share of the callers' packets that was lost; None on a good line."""
        if self.quality is None:
            return None
        lines = [*self._lines, *(path.to_stack for path in (self.relay.calls if self.relay else ()))]
        sent = sum(line.passed + line.lost for line in lines)
        return round(sum(line.lost for line in lines) / sent, 4) if sent else 0.0


@contextlib.asynccontextmanager
async def open_line(cell: Cell, request: BenchRequest, launch: Launch, clock: Clock) -> AsyncIterator[BadLine]:
    """Ready to dial. Raises what the dialer raises."""
    target = stack_target(cell.transport, launch.settings)
    quality = LineQuality(loss=request.loss_percent / 100, seed=request.seed) if has_loss(cell.script) else None
    async with contextlib.AsyncExitStack() as opened:
        relay, address = None, target.address
        if quality is not None and cell.transport == "sip":
            relay = await opened.enter_async_context(SipRelay(target_of(target.address), clock, quality))
            address = f"{target.address.rsplit('@', 1)[0]}@{relay.address}"
        dialer = await opened.enter_async_context(
            open_dialer(target, launch, clock, max_calls=cell.calls + 1, codec=request.codec)
        )
        yield BadLine(dialer.dialer, address, dialer.pids, quality, relay)
