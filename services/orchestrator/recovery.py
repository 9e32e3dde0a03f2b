"""Carries out the fault policy of one call: apologise once, try again after a wait, or give up."""

from collections.abc import Callable

from services.common.clock import sleep_s
from services.orchestrator import events as ev
from services.orchestrator.call_context import CallContext
from services.orchestrator.faults import FaultPolicy, ServiceName


class Recovery:
    """Told of failures and answers; says what the agent must do through its callbacks."""

    def __init__(
        self,
        ctx: CallContext,
        *,
        apologise: Callable[[], None],
        again: Callable[[int], None],
        give_up: Callable[[str], None],
    ) -> None:
        """`again(turn)` makes the reply to `turn` anew."""
        self._ctx = ctx
        self._apologise = apologise
        self._again = again
        self._give_up = give_up
        self._policy = FaultPolicy(ctx.settings.orchestrator.give_up_ms)
        # Rises with everything that makes a waiting retry pointless.
        self._epoch = 0
        self._stopped = False

    def failed(self, service: ServiceName, code: str, retry_turn: int | None) -> None:
        """A service failed; `retry_turn` is the turn that still needs its reply."""
        now_ns = self._ctx.clock.now_ns()
        action = self._policy.failed(service, now_ns)
        will_retry = action.kind != "give_up" and not self._stopped
        self._ctx.log(ev.ServiceFailed(at_ns=now_ns, service=service, code=code, will_retry=will_retry))
        if self._stopped:
            return
        if action.kind == "give_up":
            self._give_up(f"{service} failed")
            return
        if action.kind == "apologise":
            self._apologise()
        if retry_turn is not None:
            self._epoch += 1
            self._ctx.spawn(self._retry(retry_turn, self._epoch, action.wait_ms))

    def answered(self, service: ServiceName) -> None:
        """It answers: when that ends an outage, the log says so."""
        if self._policy.answered(service):
            self._ctx.log(ev.ServiceRecovered(at_ns=self._ctx.clock.now_ns(), service=service))

    def forget(self) -> None:
        """The caller spoke, or a reply is on its way: a retry that waits is void."""
        self._epoch += 1

    def stop(self) -> None:
        """The call ends: nothing is tried any more."""
        self._stopped = True

    async def _retry(self, turn: int, epoch: int, wait_ms: int) -> None:
        await sleep_s(self._ctx.clock, wait_ms / 1000)
        if epoch == self._epoch and not self._stopped:
            self._again(turn)
