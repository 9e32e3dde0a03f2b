"""One utterance from SPEECH_STARTED to its final: what of it to decode and when it can be answered. Sans-I/O.

Its audio is a list of segments, all but the last cut off because `max_utterance_ms` was reached. A provisional
final, the final and a cut-off segment are one thing: the decode of a segment. The utterance is answered when all
its segments are decoded.
"""

from collections.abc import Callable, Iterator

from services.asr.agreement import LocalAgreement
from services.asr.effects import Cancel, Decode, Effect, JobKind, Limits, Promote, SendError, SendFinal, SendPartial
from services.asr.hypothesis import DecodeRequest, Hypothesis, Recognition
from services.asr.segments import Segment, join
from services.asr.tape import Tape
from services.common.errors import OverloadedError, TrunklineError
from services.common.personal import Personal

QUIET_WINDOW_MS = 100


class Utterance:
    """State of one utterance. Methods return effects in the order to do them.

    `new_job` gives job numbers that are unique in the stream; `tape` is the call's audio.
    """

    def __init__(
        self, utterance_id: int, tape: Tape, start: int, config: Recognition, limits: Limits, new_job: Callable[[], int]
    ) -> None:
        self.id = utterance_id
        self.paused_at: int | None = None
        self.finalized = False
        self._tape = tape
        self._start = start
        self._config = config
        self._limits = limits
        self._new_job = new_job
        self._segments = [Segment(start)]
        self._agreement = LocalAgreement()
        self._partial_job: int | None = None
        self._partial_end = tape.end
        self._first_partial = True
        # The provisional final of this pause was sent when its text was there.
        self._told = False
        # True when a pause lasts so long that its silence is no longer kept.
        self._sealed = False

    def jobs(self) -> Iterator[int]:
        """Numbers of the jobs whose answers are wanted."""
        if self._partial_job is not None:
            yield self._partial_job
        for segment in self._segments:
            if segment.job_id is not None:
                yield segment.job_id

    def needs_from(self) -> int:
        """Stream position before which the tape is no longer needed."""
        return self._tape.end - self._samples(self._limits.preroll_ms) if self._sealed else self._segments[-1].start

    def heard(self, partial_hop_ms: int | None) -> list[Effect]:
        """Audio came in. `partial_hop_ms`: least audio between partials; None: no partials now."""
        effects = self._retry()
        full = self._tape.end - self._segments[-1].start >= self._samples(self._limits.max_utterance_ms)
        if self.paused_at is not None:
            self._sealed = self._sealed or full
            return effects
        if full:
            return effects + self._cut()
        return effects + self._partial(partial_hop_ms)

    def pause(self, deadline_ms: int) -> list[Effect]:
        """The VAD dips: decode what is there at once."""
        self.paused_at = self._segments[-1].end = self._tape.end
        return self._cancel_partial() + self._decode(self._segments[-1], JobKind.PROVISIONAL, deadline_ms)

    def resume(self) -> list[Effect]:
        """Speech goes on: the provisional final is void, except where its audio is no longer kept."""
        self.paused_at = None
        self._told = False
        last = self._segments[-1]
        if self._sealed:
            self._sealed = False
            self._open_segment(self._tape.end - self._samples(self._limits.preroll_ms))
            return self._retry()
        effects = _cancel(last.job_id)
        last.end = last.job_id = last.request = last.hypothesis = None
        return effects

    def finalize(self, deadline_ms: int) -> list[Effect]:
        """The turn is over: answered now by the provisional final where there is one."""
        self.finalized = True
        last = self._segments[-1]
        effects = self._cancel_partial()
        if self.paused_at is None:
            last.end = self._tape.end
            effects += self._decode(last, JobKind.FINAL, deadline_ms)
        effects += [Promote(job_id, deadline_ms) for job_id in self.jobs() if self.paused_at is not None]
        effects += self._retry(deadline_ms)
        return effects + self._answer(None)

    def give_up(self) -> list[Effect]:
        """Forget all work."""
        effects = [effect for job_id in self.jobs() for effect in _cancel(job_id)]
        self._segments = self._segments[-1:]
        self._partial_job = self._segments[-1].job_id = None
        return effects

    def decoded(self, job_id: int, hypothesis: Hypothesis) -> list[Effect]:
        """Take a judged hypothesis of one of `jobs()`."""
        if job_id == self._partial_job:
            self._partial_job = None
            return self._partial_decoded(job_id, hypothesis)
        for segment in self._segments:
            if segment.job_id == job_id:
                segment.hypothesis = hypothesis
                segment.job_id = segment.request = None
                return self._answer(job_id)
        return []

    def early(self, job_id: int, hypothesis: Hypothesis) -> list[Effect]:
        """The text of the provisional final, while its words are still being found: enough to answer the pause."""
        last = self._segments[-1]
        others = [segment for segment in self._segments[:-1] if segment.hypothesis is None]
        if last.job_id != job_id or others or self.paused_at is None or self.finalized:
            return []
        self._told = True
        return [SendFinal(self.id, True, join([*self._parts(), (self._offset_ms(last), hypothesis)]), job_id)]

    def failed(self, job_id: int, error: TrunklineError) -> list[Effect]:
        """Take a refusal or failure of one of `jobs()`. A partial is just missing; a cut-off segment is tried again."""
        if job_id == self._partial_job:
            self._partial_job = None
            return []
        for segment in self._segments:
            segment.job_id = None if segment.job_id == job_id else segment.job_id
        waiting = sum(1 for segment in self._segments[:-1] if segment.hypothesis is None)
        last = self._segments[-1]
        last_failed = last.end is not None and last.job_id is None and last.hypothesis is None
        if last_failed or self.finalized:
            return [SendError(self.id, error)]
        if isinstance(error, OverloadedError) and waiting <= self._limits.max_waiting_segments:
            return []
        self._segments = [s for s in self._segments if s.hypothesis is not None or s is self._segments[-1]]
        return [SendError(self.id, error)]

    def _partial(self, hop_ms: int | None) -> list[Effect]:
        if hop_ms is None:
            return []
        wanted_ms = max(hop_ms, self._limits.first_partial_ms) if self._first_partial else hop_ms
        if self._tape.end - self._partial_end < self._samples(wanted_ms):
            return []
        # An unanswered one is superseded: the scheduler drops it if it waits, and this one if it runs.
        self._first_partial = False
        self._partial_end = self._tape.end
        effects = self._cancel_partial()
        self._partial_job = self._new_job()
        request = self._request(self._segments[-1].start, self._tape.end, words=False)
        return [*effects, Decode(self._partial_job, self.id, JobKind.PARTIAL, request)]

    def _partial_decoded(self, job_id: int, hypothesis: Hypothesis) -> list[Effect]:
        if hypothesis.rejection is not None:
            return []
        stable, unstable = self._agreement.update(hypothesis.text.reveal())
        before = [s.hypothesis.text.reveal() for s in self._segments[:-1] if s.hypothesis is not None]
        whole = " ".join(part for part in (*before, stable) if part)
        return [SendPartial(self.id, Personal(whole, "transcript"), Personal(unstable, "transcript"), job_id)]

    def _cut(self) -> list[Effect]:
        """The bound is reached while speech goes on: cut at the quietest place."""
        search = self._tape.end - self._samples(self._limits.cut_search_ms)
        cut = self._tape.quietest(search, self._tape.end, self._samples(QUIET_WINDOW_MS))
        self._segments[-1].end = cut
        effects = self._cancel_partial() + self._decode(self._segments[-1], JobKind.SEGMENT, 0)
        self._open_segment(cut)
        return effects

    def _open_segment(self, start: int) -> None:
        self._segments.append(Segment(start))
        self._agreement = LocalAgreement()
        self._partial_end = start

    def _decode(self, segment: Segment, kind: JobKind, deadline_ms: int) -> list[Effect]:
        end = self._tape.end if segment.end is None else segment.end
        segment.request = segment.request or self._request(segment.start, end, words=True)
        segment.job_id = self._new_job()
        return [Decode(segment.job_id, self.id, kind, segment.request, deadline_ms)]

    def _retry(self, deadline_ms: int = 0) -> list[Effect]:
        """Decode again what was refused: cut-off segments, and at the end the last one as well."""
        effects: list[Effect] = []
        for segment in self._segments if self.finalized else self._segments[:-1]:
            if segment.job_id is None and segment.hypothesis is None:
                kind = JobKind.FINAL if self.finalized else JobKind.SEGMENT
                effects += self._decode(segment, kind, deadline_ms)
        return effects

    def _answer(self, job_id: int | None) -> list[Effect]:
        """The final, or in a pause the provisional one, when all segments are decoded."""
        if self.paused_at is None and not self.finalized:
            return []
        parts = self._parts()
        if len(parts) < len(self._segments) or (self._told and not self.finalized):
            return []
        return [SendFinal(self.id, not self.finalized, join(parts), job_id)]

    def _parts(self) -> list[tuple[int, Hypothesis]]:
        return [(self._offset_ms(s), s.hypothesis) for s in self._segments if s.hypothesis is not None]

    def _offset_ms(self, segment: Segment) -> int:
        return (segment.start - self._start) * 1000 // self._config.sample_rate_hz

    def _cancel_partial(self) -> list[Effect]:
        job_id, self._partial_job = self._partial_job, None
        return _cancel(job_id)

    def _request(self, start: int, end: int, *, words: bool) -> DecodeRequest:
        return DecodeRequest(self._tape.read(start, end), self._config, words)

    def _samples(self, ms: int) -> int:
        return ms * self._config.sample_rate_hz // 1000


def _cancel(job_id: int | None) -> list[Effect]:
    return [] if job_id is None else [Cancel(job_id)]
