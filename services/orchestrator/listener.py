"""The caller's side of a call: audio in, what VAD, turn model and recogniser say about it out, as signals.

Carries out what the turn-taker decides about recognition. Audio goes to the recogniser only while an utterance is
open, beginning with a pre-roll.
"""

import asyncio
from collections.abc import Callable

from services.common.errors import TrunklineError
from services.common.personal import Personal
from services.orchestrator import events as ev
from services.orchestrator.call_context import CallContext
from services.orchestrator.clients.asr import AsrCall, AsrConfig, Kind
from services.orchestrator.faults import ServiceName
from services.orchestrator.media.audio import MODEL_RATE_HZ, AudioIn, ModelFrame
from services.orchestrator.media.front_end import FrontEnd
from services.orchestrator.turns import decisions as do
from services.orchestrator.turns import signals as on
from services.pb.trunkline.asr.v1 import asr_pb2 as pb

# As much as the recogniser keeps from before the mark; the onset is at most this old when it is known.
PREROLL_SAMPLES = MODEL_RATE_HZ * 400 // 1000
TURN_PREROLL_NS = 200_000_000
PARTIAL_INTERVAL_MS = 500

ServiceState = Callable[[ServiceName, bool, str], None]


class Listener:
    """Implements VadSink and AsrSink. `feed` gets every signal; `on_state` hears of services that go and come."""

    def __init__(
        self,
        ctx: CallContext,
        rx_rate_hz: int,
        feed: Callable[[on.Signal], None],
        on_state: ServiceState,
        front_end: FrontEnd | None = None,
    ) -> None:
        self._ctx = ctx
        self._feed = feed
        self._on_state = on_state
        self._audio = AudioIn(rx_rate_hz)
        self._front_end = front_end
        self._vad = ctx.services.vad.open(ctx.call_id, self)
        agent = ctx.settings.agent
        config = AsrConfig(ctx.call_id, agent.locale, PARTIAL_INTERVAL_MS, agent.asr_hotwords)
        self._asr = AsrCall(ctx.services.asr, ctx.clock, config, self, ctx.settings.orchestrator.max_call_s + 60)
        self._prediction: asyncio.Task[None] | None = None
        self._final: pb.Final | None = None
        self._final_ns = 0
        self._onset_ns = 0
        # Up to where the open utterance's audio was given to the recogniser; None: no utterance.
        self._given: int | None = None
        self.held = False
        # The recogniser was asked for the words while speech goes on: its next final is the answer.
        self._words_asked = False
        # Hears the words of the open utterance so far.
        self.on_words: Callable[[str], None] = lambda text: None

    async def run(self) -> None:
        """Keep the recogniser's stream until cancelled."""
        await self._asr.run()

    def close(self) -> None:
        """The call is over."""
        self._ctx.services.vad.close(self._vad)

    @property
    def asr_up(self) -> bool:
        """The recogniser can be reached."""
        return self._asr.up

    def set_rate(self, rx_rate_hz: int) -> None:
        """The leg's codec changed."""
        self._audio.set_rate(rx_rate_hz)

    def on_audio(self, pcm: bytes, received_ns: int) -> None:
        """What the leg heard."""
        if self.held:
            return
        frames = self._audio.push(pcm, received_ns)
        if not frames:
            return
        if self._front_end is not None and self._front_end.awake:
            # The recogniser hears the line as it is, from `_audio`.
            frames = self._front_end.hear(frames)
        for frame in frames:
            self._ctx.services.vad.push(self._vad, frame)
        self._give()

    def final_of(self, utterance: int) -> tuple[pb.Final, int] | None:
        """The text that stands for the utterance, and when it came."""
        if self._final is None or self._final.utterance_id != utterance:
            return None
        return self._final, self._final_ns

    # ---- decisions of the turn-taker

    def carry_out(self, decision: do.Decision) -> None:
        """Mark speech for the recogniser, ask the turn model."""
        now_ns = self._ctx.clock.now_ns()
        match decision:
            case do.StartSpeech():
                self._start(decision, now_ns)
            case do.PauseSpeech(utterance, last_voiced_ns):
                self._ctx.log(ev.SpeechPaused(at_ns=now_ns, utterance=utterance, last_voiced_ns=last_voiced_ns))
                self._give()
                self._words_answered(utterance)
                self._asr.mark(Kind.KIND_SPEECH_PAUSED, utterance, self._ctx.settings.asr.final_deadline_ms)
                self._ask_turn_model(utterance)
            case do.AskWords(utterance) if not self._words_asked:
                self._give()
                self._words_asked = True
                self._asr.mark(Kind.KIND_SPEECH_PAUSED, utterance, self._ctx.settings.asr.final_deadline_ms)
            case do.AskTurnModel(utterance):
                self._ask_turn_model(utterance)
            case do.ResumeSpeech(utterance):
                self._ctx.log(ev.SpeechResumed(at_ns=now_ns, utterance=utterance))
                self._drop_prediction()
                self._final = None
                self._give()
                self._asr.mark(Kind.KIND_SPEECH_RESUMED, utterance)
            case do.Finalize(utterance):
                self._asr.mark(Kind.KIND_FINALIZE, utterance, self._ctx.settings.asr.final_deadline_ms)
            case do.EndTurn(utterance) | do.UnclearTurn(utterance):
                self._end(Kind.KIND_FINALIZE, utterance)
            case do.Discard(utterance) | do.FailTurn(utterance):
                self._end(Kind.KIND_DISCARD, utterance)
            case _:
                pass

    def _start(self, decision: do.StartSpeech, now_ns: int) -> None:
        self._ctx.log(
            ev.SpeechStarted(
                at_ns=now_ns,
                utterance=decision.utterance,
                onset_ns=decision.onset_ns,
                during_playout=decision.during_playout,
            )
        )
        self._onset_ns = decision.onset_ns
        self._final = None
        self._given = max(0, self._audio.position - PREROLL_SAMPLES)
        preroll = self._audio.since(self._given)
        self._given = self._audio.position
        self._asr.start(decision.utterance, preroll, hotwords=decision.open_question)

    def _give(self) -> None:
        if self._given is not None:
            self._asr.audio(self._audio.since(self._given))
            self._given = self._audio.position

    def _words_answered(self, utterance: int) -> None:
        """As for the recogniser, speech has paused since it was asked for the words."""
        if self._words_asked:
            self._words_asked = False
            self._asr.mark(Kind.KIND_SPEECH_RESUMED, utterance)

    def _end(self, kind: pb.Mark.Kind.ValueType, utterance: int) -> None:
        self._given, self._words_asked = None, False
        self._drop_prediction()
        self._asr.end(kind, utterance)

    def _ask_turn_model(self, utterance: int) -> None:
        """With all the silence there is by now: an answer to an earlier question is worth less than the new one."""
        self._drop_prediction()
        self._prediction = self._ctx.spawn(self._predict(utterance))

    def _drop_prediction(self) -> None:
        if self._prediction is not None:
            self._prediction.cancel()
            self._prediction = None

    async def _predict(self, utterance: int) -> None:
        pcm = self._audio.since(self._audio.position_at(self._onset_ns - TURN_PREROLL_NS))
        try:
            probability = await self._ctx.services.vad.predict_turn(self._ctx.call_id, pcm)
        except TrunklineError:
            # Without an opinion the turn-taker waits as when unsure; the stream tells when the service is away.
            return
        now_ns = self._ctx.clock.now_ns()
        self._ctx.log(ev.TurnPredicted(at_ns=now_ns, utterance=utterance, complete_probability=probability))
        self._feed(on.TurnPrediction(now_ns, utterance, probability))

    # ---- VadSink

    def on_vad(self, frame: ModelFrame, probability: float) -> None:
        """One frame was judged."""
        self._feed(on.VadFrame(self._ctx.clock.now_ns(), frame.end_ns, probability, frame.levels_db))

    def on_vad_state(self, up: bool, code: str) -> None:
        """The VAD went away or came back."""
        self._on_state("vad", up, code)

    # ---- AsrSink

    def on_partial(self, partial: pb.Partial) -> None:
        """Words so far."""
        now_ns = self._ctx.clock.now_ns()
        self._ctx.log(
            ev.PartialTranscript(
                at_ns=now_ns,
                utterance=partial.utterance_id,
                stable=Personal(partial.stable_text, "transcript"),
                unstable=Personal(partial.unstable_text, "transcript"),
            )
        )
        text = f"{partial.stable_text} {partial.unstable_text}".strip()
        self.on_words(text)
        self._feed(on.PartialText(now_ns, partial.utterance_id, text))

    def on_final(self, final: pb.Final) -> None:
        """Text up to the dip, or the end."""
        now_ns = self._ctx.clock.now_ns()
        if self._words_asked:
            self._words_answered(final.utterance_id)
            doubts = (final.avg_logprob, final.no_speech_prob)
            none, text = Personal("", "transcript"), Personal(final.text, "transcript")
            number = final.utterance_id
            self._ctx.log(ev.PartialTranscript(at_ns=now_ns, utterance=number, stable=none, unstable=text))
            self._feed(on.PartialText(now_ns, final.utterance_id, final.text, True, *doubts))
            return
        self._final, self._final_ns = final, now_ns
        if final.provisional:
            self._ctx.log(final_transcript(final, now_ns, provisional=True))
        self._feed(final_text(final, now_ns))

    def on_utterance_error(self, error: pb.UtteranceError) -> None:
        """The recogniser could not decode the utterance."""
        if self._words_asked:
            # The next partial text, or the dip, will tell.
            self._words_answered(error.utterance_id)
            return
        self._feed(on.FinalFailed(self._ctx.clock.now_ns(), error.utterance_id))

    def on_asr_state(self, up: bool, code: str) -> None:
        """The recogniser went away or came back."""
        self._on_state("asr", up, code)


def final_text(final: pb.Final, at_ns: int) -> on.FinalText:
    """A final as the turn-taker gets it."""
    return on.FinalText(
        at_ns,
        final.utterance_id,
        final.text,
        final.provisional,
        final.avg_logprob,
        final.no_speech_prob,
        final.language,
        # 0: the recogniser does not detect languages.
        final.language_probability or 1.0,
        final.ending_log_odds if final.HasField("ending_log_odds") else None,
    )


def final_transcript(final: pb.Final, at_ns: int, *, provisional: bool) -> ev.FinalTranscript:
    """The event of a final."""
    rejection = pb.Final.Rejection.Name(final.rejection).removeprefix("REJECTION_").lower()
    return ev.FinalTranscript(
        at_ns=at_ns,
        utterance=final.utterance_id,
        provisional=provisional,
        text=Personal(final.text, "transcript"),
        avg_logprob=round(final.avg_logprob, 4),
        no_speech_prob=round(final.no_speech_prob, 4),
        language=final.language,
        rejection="" if rejection == "unspecified" else rejection,
    )
