"""The agent's voice on one leg: hands frames over as early as allowed, and knows when the last one left.

Three things make it move: audio that arrives, credit that comes back with a report of the leg, and the ticker.
"""

from typing import Protocol

from services.orchestrator.media.leg import LegFormat, Playout
from services.orchestrator.media.playout import PlayoutBuffer, Utterance


class Line(Protocol):
    """What a mouth speaks into: a leg, or something before it."""

    def play(self, frame: bytes) -> None: ...

    def clear(self) -> None: ...


class MouthSink(Protocol):
    """Who is told; called on the event loop."""

    def on_speaking(self, utterance: Utterance, at_ns: int) -> None:
        """Its first packet left."""
        ...

    def on_spoken(self, utterance: Utterance, at_ns: int) -> None:
        """Its last packet left."""
        ...

    def on_silenced(self, stopped_ns: int) -> None:
        """After `pause` or `stop`: the leg is silent; the last packet of ours left at `stopped_ns`."""
        ...


class Mouth:
    """Plays utterances one after the other. Paused while anybody holds a reason."""

    def __init__(self, leg: Line, fmt: LegFormat, committed_ms: int, sink: MouthSink) -> None:
        self._leg = leg
        self._sink = sink
        self._buffer = PlayoutBuffer(fmt.tx_rate_hz, committed_ms)
        self._reasons: set[str] = set()
        self._sent = 0
        self._last_packet_ns = 0
        self._silencing = False

    @property
    def rate_hz(self) -> int:
        """Rate utterances must have now."""
        return self._buffer.rate_hz

    @property
    def idle(self) -> bool:
        """Nothing is queued."""
        return self._buffer.current is None

    @property
    def current(self) -> Utterance | None:
        """What plays, or plays next."""
        return self._buffer.current

    @property
    def silencing(self) -> bool:
        """The leg was told to be silent and has not said yet what had left by then."""
        return self._silencing

    def set_format(self, fmt: LegFormat) -> list[Utterance]:
        """The codec changed. Returns what had to be dropped because it was made for another rate."""
        self._sent = 0
        return self._buffer.set_rate(fmt.tx_rate_hz) if fmt.tx_rate_hz != self._buffer.rate_hz else []

    def say(self, utterance: Utterance) -> None:
        """Play it as soon as what is there before has been played."""
        self._buffer.enqueue(utterance)
        self.pump()

    def say_first(self, utterance: Utterance) -> None:
        """Play it before what waits; nothing of that may have been played yet."""
        self._buffer.enqueue_first(utterance)
        self.pump()

    def end_early(self, utterance: Utterance) -> bool:
        """Let it end with the word that plays; False when it had not begun: then it is forgotten."""
        plays = self._buffer.end_at_word(utterance)
        self.pump()
        return plays

    def forget(self, utterance: Utterance) -> None:
        """No more audio will come of it; what the leg has of it is flushed."""
        if self._buffer.discard(utterance) and not self._reasons:
            self._buffer.pause()
            self._buffer.resume()
            self._silence()

    def pump(self, _now_ns: int = 0) -> None:
        """Hand over what may be committed now."""
        for frame in self._buffer.frames():
            self._leg.play(frame)

    def pause(self, reason: str) -> None:
        """Silence at once; undone by `resume` with the same reason."""
        was_silent = bool(self._reasons)
        self._reasons.add(reason)
        if not was_silent:
            self._buffer.pause()
            self._silence()

    def resume(self, reason: str) -> None:
        """Go on from the start of the interrupted word when nobody else wants silence."""
        if reason in self._reasons:
            self._reasons.discard(reason)
            if not self._reasons:
                self._buffer.resume()
                self.pump()

    def stop(self) -> list[Utterance]:
        """Silence at once and for good. Returns what was queued; each knows what of it was heard."""
        silent = bool(self._reasons)
        self._reasons.discard("contest")
        if not silent:
            self._buffer.pause()
        cut = self._buffer.cut()
        if self._reasons:
            self._buffer.pause()
        if not silent:
            self._silence()
        return cut

    def on_report(self, playout: Playout, at_ns: int, now_ns: int) -> None:
        """Progress from the leg as it was at `at_ns`."""
        if playout.sent > self._sent:
            self._last_packet_ns = at_ns
        self._sent = playout.sent
        progress = self._buffer.on_report(playout, now_ns)
        if progress.started is not None:
            self._sink.on_speaking(progress.started, at_ns)
        if progress.finished is not None:
            self._sink.on_spoken(progress.finished, at_ns)
        if self._silencing:
            self._silencing = False
            self._sink.on_silenced(self._last_packet_ns)
        self.pump()

    def _silence(self) -> None:
        self._silencing = True
        self._leg.clear()
