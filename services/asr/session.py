"""One Recognize stream: carries effects between the call's state machine, the recogniser and the outbox."""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from services.asr import metrics
from services.asr.call import CallRecognition
from services.asr.effects import (
    Cancel,
    Decode,
    Effect,
    JobKind,
    Limits,
    Promote,
    SendError,
    SendFinal,
    SendPartial,
)
from services.asr.filters import Thresholds, judge
from services.asr.hypothesis import Hypothesis
from services.asr.outbox import Outbox
from services.asr.runner import Recogniser, Ticket, Times
from services.asr.scheduler import NS_PER_MS
from services.asr.wire import read_audio, read_config, read_mark, write_error, write_final, write_partial
from services.common.clock import Clock
from services.common.errors import InvalidInputError, OverloadedError, TrunklineError
from services.pb.trunkline.asr.v1 import asr_pb2 as pb
from services.pb.trunkline.common.v1 import common_pb2


class Session:
    """State and work of one stream. Raises InvalidInputError for messages out of contract.

    `stream` is a number that no other stream has; `limits` and `thresholds` come from the settings.
    """

    def __init__(
        self,
        stream: int,
        config: pb.RecognizeConfig,
        recogniser: Recogniser,
        outbox: Outbox,
        limits: Limits,
        thresholds: Thresholds,
        clock: Clock,
    ) -> None:
        self._config = read_config(config)
        recogniser.check(self._config)
        self._stream = stream
        self._partial_interval_ms = config.partial_interval_ms
        self._recogniser = recogniser
        self._outbox = outbox
        self._thresholds = thresholds
        self._clock = clock
        self._call = CallRecognition(self._config, limits)
        self._seq = 0
        self._tickets: dict[int, Ticket] = {}
        self._times: dict[int, Times] = {}
        self._idle = asyncio.Event()
        # Utterances that are decoded without hotwords; the latest, for work on the one before may still be queued.
        self._plain: deque[int] = deque(maxlen=4)

    def take(self, request: pb.RecognizeRequest) -> None:
        """Audio or a mark. Raises InvalidInputError; a mark that only comes at a wrong time is answered instead."""
        match request.WhichOneof("payload"):
            case "audio":
                pcm = read_audio(request.audio, self._seq, self._config.sample_rate_hz)
                self._seq += 1
                hop_ms = self._recogniser.partial_hop_ms(self._partial_interval_ms)
                self._do(self._call.audio(pcm, hop_ms))
            case "mark":
                self._mark(request.mark)
            case "config":
                raise InvalidInputError("config", expected="once, as the first message", got="again")
            case _:
                raise InvalidInputError("payload", expected="audio or a mark", got="nothing")

    async def drained(self) -> None:
        """Return when nothing that was asked is unanswered."""
        while not self._call.idle():
            self._idle.clear()
            await self._idle.wait()

    def close(self) -> None:
        """The stream is over: its work leaves the queue."""
        for ticket in self._tickets.values():
            self._recogniser.cancel(ticket)
        self._tickets.clear()

    def _mark(self, mark: pb.Mark) -> None:
        try:
            kind = read_mark(mark)
        except InvalidInputError as error:
            self._do([SendError(mark.utterance_id, error)])
            return
        if mark.without_hotwords:
            self._plain.append(mark.utterance_id)
        self._do(self._call.mark(kind, mark.utterance_id, mark.deadline_ms))

    def _do(self, effects: Iterable[Effect]) -> None:
        todo = deque(effects)
        while todo:
            effect = todo.popleft()
            match effect:
                case Decode():
                    todo.extend(self._decode(effect))
                case Cancel(job_id):
                    ticket = self._tickets.pop(job_id, None)
                    if ticket is not None:
                        self._recogniser.cancel(ticket)
                case Promote(job_id, deadline_ms):
                    if job_id in self._tickets:
                        self._recogniser.promote(self._tickets[job_id], deadline_ms)
                case SendPartial(utterance_id, stable, unstable, job_id):
                    self._outbox.put(write_partial(utterance_id, stable, unstable, self._timings(job_id)))
                case SendFinal():
                    self._final(effect)
                case SendError(utterance_id, error):
                    self._outbox.put(write_error(utterance_id, error))
        self._idle.set()

    def _decode(self, effect: Decode) -> list[Effect]:
        job_id = effect.job_id

        def done(outcome: Hypothesis | TrunklineError, times: Times) -> None:
            self._done(job_id, outcome, times)

        def early(hypothesis: Hypothesis, times: Times) -> None:
            self._early(job_id, hypothesis, times)

        request = effect.request
        if effect.utterance_id in self._plain:
            request = replace(request, recognition=replace(request.recognition, hotwords=()))
        ticket = Ticket(effect.kind, request, done, early)
        key: tuple[object, ...] = (self._stream, effect.utterance_id, effect.kind)
        if effect.kind is JobKind.SEGMENT:
            key = (*key, job_id)
        try:
            self._recogniser.submit(ticket, key, effect.deadline_ms)
        except OverloadedError as error:
            return self._call.failed(job_id, error)
        self._tickets[job_id] = ticket
        return []

    def _done(self, job_id: int, outcome: Hypothesis | TrunklineError, times: Times) -> None:
        ticket = self._tickets.pop(job_id, None)
        if ticket is None:
            return
        if isinstance(outcome, TrunklineError):
            self._do(self._call.failed(job_id, outcome))
            return
        judged = judge(outcome, self._thresholds)
        if judged.rejection is not None:
            metrics.REJECTED.labels(kind=ticket.kind.value, reason=judged.rejection.name.lower()).inc()
        self._times = {job_id: times}
        self._do(self._call.decoded(job_id, judged))

    def _early(self, job_id: int, hypothesis: Hypothesis, times: Times) -> None:
        if job_id in self._tickets:
            self._times = {job_id: times}
            self._do(self._call.early(job_id, judge(hypothesis, self._thresholds)))

    def _final(self, effect: SendFinal) -> None:
        if effect.job_id is None:
            metrics.REUSED.inc()
        timings = self._timings(effect.job_id)
        self._outbox.put(write_final(effect.utterance_id, effect.hypothesis, timings, provisional=effect.provisional))

    def _timings(self, job_id: int | None) -> common_pb2.Timings:
        """Zero for an answer that took no work."""
        times = self._times.get(job_id) if job_id is not None else None
        if times is None:
            return common_pb2.Timings()
        return common_pb2.Timings(
            queue_ms=(times.start_ns - times.arrival_ns) / NS_PER_MS,
            compute_ms=(times.end_ns - times.start_ns) / NS_PER_MS,
            total_ms=(self._clock.now_ns() - times.arrival_ns) / NS_PER_MS,
        )
