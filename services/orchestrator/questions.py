"""What the caller is being asked for, who asked, and whether the keys of the answer are secret.

The agent's own words ask (turns/questions.py reads them); a tool may ask for keys by name, and then gets them. While
it asks, the agent's words change nothing.
"""

from collections.abc import Callable

from services.orchestrator.call_context import CallContext
from services.orchestrator.turns import decisions as do
from services.orchestrator.turns import signals as on
from services.orchestrator.turns.expectation import OPEN, Expectation
from services.orchestrator.turns.questions import expectation_of

# A caller who goes on keying after the last secret digit (the terminator, one digit too many) is still not recorded.
MASK_LINGERS_NS = 5_000_000_000

Deliver = Callable[[do.KeysEntered], None]


class Questions:
    """One per call. Feeds `Asked` whenever the expectation changes."""

    def __init__(self, ctx: CallContext, feed: Callable[[on.Signal], None]) -> None:
        self._ctx = ctx
        self._feed = feed
        self._expectation = OPEN
        self._deliver: Deliver | None = None
        self._masked_until_ns = 0
        # Somebody says what is asked for: words need not be read.
        self._told = False

    def masked(self, at_ns: int) -> bool:
        """A key pressed now must be in no log."""
        keypad = self._expectation.keypad
        return (keypad is not None and keypad.masked) or at_ns < self._masked_until_ns

    def agent_said(self, text: str) -> None:
        """The agent's latest words, as far as they were heard."""
        if self._deliver is None and not self._told:
            self._ask(expectation_of(text, self._ctx.settings.agent.locale))

    def expect(self, expectation: Expectation) -> None:
        """The dialogue knows what it asks for, from now on: the agent's words are not read any more."""
        self._told = True
        self._deliver = None
        self._ask(expectation)

    def collect(self, expectation: Expectation, deliver: Deliver) -> None:
        """A tool asks for keys: they come to `deliver`, once; nothing else learns of masked ones."""
        self._deliver = deliver
        self._ask(expectation)

    def cancel(self) -> None:
        """The tool asks no longer."""
        self._deliver = None
        self._ask(OPEN)

    def deliver(self, entered: do.KeysEntered) -> bool:
        """Hand keys to the tool that asked; False when none did."""
        if entered.masked:
            self._masked_until_ns = self._ctx.clock.now_ns() + MASK_LINGERS_NS
        deliver, self._deliver = self._deliver, None
        self._ask(OPEN)
        if deliver is None:
            return False
        deliver(entered)
        return True

    def _ask(self, expectation: Expectation) -> None:
        if expectation != self._expectation:
            if self._expectation.keypad is not None and self._expectation.keypad.masked:
                self._masked_until_ns = self._ctx.clock.now_ns() + MASK_LINGERS_NS
            self._expectation = expectation
            self._feed(on.Asked(self._ctx.clock.now_ns(), expectation))
