"""A fake brain for the page: says what a real call's log says, at given times, and plays a tone while it speaks.

It names itself a fake; it measures nothing and understands nothing. It exists so that the page can be shown every
state without a model.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from services.common.personal import Personal
from services.orchestrator.events import (
    AgentSpeechEnded,
    AgentSpeechStarted,
    BargeIn,
    FinalTranscript,
    PartialTranscript,
    PlayoutPaused,
    ReplyStarted,
    ReplyText,
    ServiceFailed,
    SpeechPaused,
    SpeechStarted,
    StageMeasured,
    TurnDropped,
    TurnEnded,
)
from tests.web.harness import FakeCall, tone

MS = 1_000_000


class ScriptedBrain:
    """Appends events to a fake call's log; `pace` scales waiting (0: at once)."""

    def __init__(self, call: FakeCall, now_ns: Callable[[], int], pace: float = 1.0) -> None:
        self.call = call
        self._now_ns = now_ns
        self._pace = pace
        self._playing: asyncio.Task[None] | None = None

    def say(self, event: type, /, **fields: Any) -> None:
        fields.setdefault("at_ns", self._now_ns())
        self.call.handle.events.append(event(**fields))

    async def wait(self, ms: float) -> None:
        await asyncio.sleep(ms * self._pace / 1000)

    async def caller(self, utterance: int, turn: int, text: str, *, over: bool = False) -> None:
        """Words come one after the other, the last two unstable, then the final."""
        self.say(SpeechStarted, utterance=utterance, onset_ns=self._now_ns() - 60 * MS, during_playout=over)
        words = text.split()
        for n in range(2, len(words) + 1, 2):
            await self.wait(260)
            stable, unstable = " ".join(words[: n - 2]), " ".join(words[max(0, n - 2) : n])
            self.say(PartialTranscript, utterance=utterance, stable=Personal(stable), unstable=Personal(unstable))
        self.say(SpeechPaused, utterance=utterance, last_voiced_ns=self._now_ns())
        self.final(utterance, text)
        self.say(TurnEnded, turn=turn, utterance=utterance, last_voiced_ns=self._now_ns(), reason="complete")

    def final(self, utterance: int, text: str) -> None:
        self.say(
            FinalTranscript,
            utterance=utterance,
            provisional=False,
            text=Personal(text),
            avg_logprob=-0.2,
            no_speech_prob=0.01,
            language="en",
            rejection="",
        )

    async def begin(self, turn: int, text: str, *, kind: str = "reply", stages: dict[str, float] | None = None) -> None:
        """The reply's text, its stage times, and the first packet."""
        self.say(ReplyStarted, turn=turn, kind=kind)
        clauses = text.replace(", ", ",| ").split("|")
        self.say(ReplyText, turn=turn, text=Personal(clauses[0]))
        await self.wait(120)
        self.say(ReplyText, turn=turn, text=Personal(text))
        end_ns = self._now_ns()
        total = (stages or {}).get("voice_to_voice", 0.0)
        for stage, ends_ms in (stages or {}).items():
            at_ns = end_ns - int((total - ends_ms) * MS)
            self.say(StageMeasured, stage=stage, turn=turn, ms=ends_ms, at_ns=at_ns)
        self.say(AgentSpeechStarted, turn=turn)
        length_ms = max(600.0, len(text) / 15 * 1000)
        self._playing = asyncio.create_task(self.call.play(tone(length_ms, 24_000, 300, 0.15)))

    async def end(self, turn: int, text: str) -> None:
        await self.wait(len(text) / 15 * 1000)
        self.stop_playing()
        self.say(AgentSpeechEnded, turn=turn, heard=Personal(text), complete=True)

    def interrupt(self, turn: int, heard: str, stop_ms: float) -> None:
        self.stop_playing()
        self.call.leg.clear()
        self.say(PlayoutPaused, turn=turn, stopped_ns=self._now_ns())
        self.say(BargeIn, turn=turn, heard=Personal(heard), reason="words")
        self.say(AgentSpeechEnded, turn=turn, heard=Personal(heard), complete=False)
        self.say(StageMeasured, stage="barge_in_stop", turn=turn, ms=stop_ms)

    def stop_playing(self) -> None:
        if self._playing is not None:
            self._playing.cancel()
            self._playing = None

    async def converse(self) -> None:
        """A greeting, two turns, an interruption, a backchannel, a failing service and an answer."""
        await self.call.established.wait()
        greeting = "Hello, you are talking to an automated assistant. How can I help you?"
        await self.begin(0, greeting, kind="greeting")
        await self.end(0, greeting)
        await self.caller(1, 1, "I would like to know where my order is, I ordered it two weeks ago.")
        await self.wait(300)
        reply = (
            "Let me see. Your order left our warehouse on Monday, and the carrier expects to deliver it "
            "on Thursday between nine and noon at the address in Lindenstrasse"
        )
        await self.begin(1, reply, stages=stages(262, 301, 436, 512, 590, 612))
        await self.wait(3200)
        self.say(SpeechStarted, utterance=2, onset_ns=self._now_ns() - 60 * MS, during_playout=True)
        self.interrupt(1, "Let me see. Your order left our warehouse on Monday, and the", 148.0)
        await self.caller(2, 2, "No, wait. I moved. Send it to the office instead.", over=True)
        await self.wait(400)
        reply = "Of course. I can have it sent to your office. Which town is that in?"
        await self.begin(2, reply, stages=stages(255, 210, 610, 744, 901, 934))
        await self.wait(1200)
        self.say(SpeechStarted, utterance=3, onset_ns=self._now_ns(), during_playout=True)
        self.final(3, "mm-hm")
        self.say(TurnDropped, utterance=3, reason="backchannel")
        await self.end(2, reply)
        await self.caller(4, 3, "In Bremen.")
        self.say(ServiceFailed, service="llm", code="UNAVAILABLE", will_retry=True)
        await self.wait(500)
        reply = "Thank you. I will have it sent to the office in Bremen."
        await self.begin(3, reply, stages=stages(240, 190, 402, 455, 530, 551))
        await self.end(3, reply)


def stages(endpoint: float, asr: float, ttft: float, clause: float, tts: float, total: float) -> dict[str, float]:
    """When each stage ended, in ms after the caller's last word."""
    return {
        "endpoint": endpoint,
        "asr_final": asr,
        "llm_ttft": ttft,
        "llm_first_clause": clause,
        "tts_ttfa": tts,
        "playout": total,
        "voice_to_voice": total,
    }
