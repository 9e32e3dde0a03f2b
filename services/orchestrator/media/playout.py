"""What the agent says, as 20 ms frames: what was committed, sent and heard. No I/O, no clock.

At most `committed_ms` is ever handed to the leg and not yet sent, so that a flush is immediate; credit comes from
the leg's reports. Positions are samples at the leg's tx rate: `_handed` and reports count over the whole leg, an
`Utterance` counts its own. `_spans` says which leg samples were whose, so "heard" is exact after pauses and resumes.
"""

from collections import deque
from dataclasses import dataclass, field, replace

from services.orchestrator.media.leg import FRAME_MS, Playout

# The leg says for so long that its queue is empty while we think that frames are committed: they were lost.
LOST_AFTER_NS = 500_000_000


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word of an utterance: its place in the text and its samples (at the tx rate)."""

    text_start: int
    text_end: int
    start: int
    end: int


@dataclass(slots=True)
class Utterance:
    """Audio of one agent turn as it arrives from TTS: append audio and words, then `finish`."""

    turn: int
    rate_hz: int
    text: str = ""
    audio: bytearray = field(default_factory=bytearray)
    words: list[SpokenWord] = field(default_factory=list)
    finished: bool = False
    # Furthest sample sent to the wire, ever.
    heard: int = 0

    @property
    def samples(self) -> int:
        """Audio there is so far."""
        return len(self.audio) // 2

    @property
    def done(self) -> bool:
        """Everything was sent."""
        return self.finished and self.heard >= self.samples

    def heard_text(self) -> str:
        """The text whose audio was sent: whole words; the interrupted one counts when half of it was sent."""
        if self.done:
            return self.text
        end = 0
        for word in self.words:
            if (word.start + word.end) / 2 > self.heard or self.heard == 0:
                break
            end = word.text_end
        return self.text[:end]

    def word_start(self, position: int) -> int:
        """Where the word that plays at `position` begins (its gap belongs to the next word)."""
        for word in self.words:
            if position < word.end:
                return min(word.start, position)
        return position


@dataclass(frozen=True, slots=True)
class _Span:
    """Leg samples [at, at + length) carried the utterance from its sample `start` (padding included in length)."""

    at: int
    length: int
    start: int
    utterance: Utterance


@dataclass(frozen=True, slots=True)
class Progress:
    """What a report of the leg changed: whose first packet left, who is complete."""

    started: Utterance | None = None
    finished: Utterance | None = None


class PlayoutBuffer:
    """The playing of one call, one utterance at a time. `frames()` says what may be committed now."""

    def __init__(self, rate_hz: int, committed_ms: int) -> None:
        self._committed_ms = committed_ms
        self._queue: deque[Utterance] = deque()
        self._spans: deque[_Span] = deque()
        # Next sample of the current utterance to hand over.
        self._position = 0
        self._handed = 0
        self._sent = 0
        self._empty_since_ns: int | None = None
        self._awaiting_clear = False
        self._paused = False
        self.set_rate(rate_hz)
        self._awaiting_clear = False

    def set_rate(self, rate_hz: int) -> list[Utterance]:
        """The leg's rate changed: what is queued was made for another rate. Returns what was dropped."""
        self.rate_hz = rate_hz
        self._frame = rate_hz * FRAME_MS // 1000
        self._limit = rate_hz * self._committed_ms // 1000
        self._spans.clear()
        # The leg restates its counts in samples of the new rate: begin again at its next report.
        self._handed = self._sent = 0
        self._awaiting_clear = True
        return self.cut()

    @property
    def current(self) -> Utterance | None:
        """What plays, or plays next."""
        return self._queue[0] if self._queue else None

    @property
    def paused(self) -> bool:
        """Between `pause` and `resume` or `cut`."""
        return self._paused

    def enqueue(self, utterance: Utterance) -> None:
        """Play it after what is there already."""
        self._queue.append(utterance)

    def enqueue_first(self, utterance: Utterance) -> None:
        """Play it before what waits, of which nothing was handed over yet."""
        self._queue.appendleft(utterance)
        self._position = 0

    def end_at_word(self, utterance: Utterance) -> bool:
        """Something better is there: it ends with the word that was handed over last; without one it is dropped.

        Returns whether any of it plays.
        """
        if utterance is not self.current or not self._position:
            self.discard(utterance)
            return False
        end, text_end = self._position, 0
        for word in utterance.words:
            if self._position <= word.start:
                break
            text_end = word.text_end
            if self._position < word.end:
                end = word.end
                break
        del utterance.audio[2 * end :]
        utterance.text = utterance.text[:text_end]
        utterance.finished = True
        return True

    def discard(self, utterance: Utterance) -> bool:
        """Forget an utterance that will not come. Returns whether some of it was handed over already."""
        begun = utterance is self.current and self._position > 0
        if utterance is self.current:
            self._position = 0
        if utterance in self._queue:
            self._queue.remove(utterance)
        return begun

    def frames(self) -> list[bytes]:
        """20 ms frames to hand to the leg now: never more than `committed_ms` unsent."""
        out: list[bytes] = []
        if self._paused or self._awaiting_clear:
            return out
        while self._handed - self._sent + self._frame <= self._limit:
            frame = self._next_frame()
            if frame is None:
                break
            out.append(frame)
        return out

    def on_report(self, report: Playout, now_ns: int) -> Progress:
        """Progress of the leg, looked at `now_ns`: brings credit back."""
        if self._awaiting_clear:
            self._awaiting_clear = False
            self._handed = report.sent
            self._cut_spans(report.sent)
        self._sent = max(self._sent, report.sent)
        self._watch_for_loss(report, now_ns)
        before = self.current
        started = before if before is not None and before.heard == 0 else None
        self._credit()
        finished = None
        if before is not None and before.done:
            self._queue.popleft()
            self._position = 0
            finished = before
        return Progress(started if started is not None and started.heard else None, finished)

    def pause(self) -> None:
        """Hand out nothing more. The caller clears the leg, whose next report tells what was sent."""
        self._paused = self._awaiting_clear = True

    def resume(self) -> None:
        """Go on from the start of the interrupted word."""
        self._paused = False
        current = self.current
        if current is not None:
            self._position = current.word_start(current.heard) if current.heard else 0

    def cut(self) -> list[Utterance]:
        """Drop everything that is queued; the returned utterances know what was heard of them."""
        cut = list(self._queue)
        self._queue.clear()
        self._paused = False
        self._position = 0
        return cut

    def _next_frame(self) -> bytes | None:
        utterance = self.current
        if utterance is None:
            return None
        left = utterance.samples - self._position
        if left <= 0 or (left < self._frame and not utterance.finished):
            return None
        taken = min(left, self._frame)
        pcm = bytes(utterance.audio[2 * self._position : 2 * (self._position + taken)])
        self._spans.append(_Span(self._handed, self._frame, self._position, utterance))
        self._handed += self._frame
        self._position += taken
        return pcm.ljust(2 * self._frame, b"\0")

    def _credit(self) -> None:
        """Move `heard` of the utterances whose samples were sent."""
        while self._spans:
            span = self._spans[0]
            reached = min(self._sent - span.at, span.length)
            if reached > 0:
                utterance = span.utterance
                utterance.heard = max(utterance.heard, min(span.start + reached, utterance.samples))
            if reached < span.length:
                return
            self._spans.popleft()

    def _cut_spans(self, sent: int) -> None:
        """Forget what was flushed: spans from leg sample `sent` on carried nothing."""
        while self._spans and self._spans[-1].at >= sent:
            self._spans.pop()
        if self._spans:
            last = self._spans[-1]
            self._spans[-1] = replace(last, length=min(last.length, sent - last.at))

    def _watch_for_loss(self, report: Playout, now_ns: int) -> None:
        """Frames the leg never took must not eat the credit for ever: after a while they count as lost.

        The while is ours, not the leg's: reports that waited in a queue say nothing about frames sent since.
        """
        if report.queued or self._handed <= self._sent:
            self._empty_since_ns = None
            return
        if self._empty_since_ns is None:
            self._empty_since_ns = now_ns
        if now_ns - self._empty_since_ns >= LOST_AFTER_NS:
            self._empty_since_ns = None
            self._handed = self._sent
            self._cut_spans(self._sent)
            if self.current is not None:
                self._position = self.current.heard
