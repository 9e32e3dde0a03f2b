"""`trunkline call`: one real test call; prints what it heard and how fast, and saves both directions."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import typer
from rich.console import Console

from services.cli.api import Api
from services.cli.caller import CallerLeg, Pcm
from services.cli.clips import Clip, load_clip
from services.cli.conversation import Conversation, Line, Manners, Moment
from services.cli.dialers import Target, open_dialer, parse_target
from services.cli.live_transcript import show_transcript
from services.cli.measure import TurnHeard, Utterance, dropped_frames, hear_turns, speech_spans
from services.cli.recording import save_stereo
from services.cli.speech_clients import speak, transcribe
from services.cli.stack import Launch
from services.cli.terminal import EXIT_FAILED
from services.common.clock import Clock
from services.common.errors import InvalidInputError, TrunklineError

# The last events of a call come a moment after its end.
_SETTLE_DEADLINE_S = 3.0


@dataclass(frozen=True, slots=True)
class CallRequest:
    """What the user asked for."""

    target: str
    wavs: tuple[Path, ...] = ()
    texts: tuple[str, ...] = ()
    interrupt_after_ms: int | None = None
    record: Path | None = None
    codec: str = ""
    number: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class HeardTurn:
    """A turn with the words that were heard, where asr could be asked."""

    said: str
    heard: TurnHeard
    words: str


async def call(request: CallRequest, launch: Launch, clock: Clock, as_json: bool) -> int:
    """Returns 0 only if the agent was heard after every turn."""
    console = Console(stderr=as_json)
    target = parse_target(request.target)
    clips = await _clips(request, launch, clock)
    lines = [Line(clip, request.interrupt_after_ms if i else None) for i, clip in enumerate(clips)]
    async with open_dialer(target, launch, clock, codec=request.codec, number=request.number) as opened:
        leg = await opened.dialer.dial(target.address)
        console.print(f"connected: {leg.transport}, {leg.codec}", style="green", highlight=False)
        said = await _talk(leg, lines, target, launch, clock, console)
    turns = await hear_all(said, clips, leg, launch, clock)
    length_s = save_stereo(request.record, leg.sent, leg.heard) if request.record else 0.0
    if as_json:
        typer.echo(json.dumps(to_json(leg, turns, request.record)))
    else:
        _print(console, leg, turns, request.record, length_s)
    return 0 if all_answered(turns) else EXIT_FAILED


def all_answered(turns: Sequence[HeardTurn]) -> bool:
    """The agent was heard after every turn."""
    return bool(turns) and all(turn.heard.answer_ns is not None for turn in turns)


async def _talk(
    leg: CallerLeg, lines: Sequence[Line], target: Target, launch: Launch, clock: Clock, console: Console
) -> list[Utterance]:
    """The conversation, with the live transcript where the call's events can be read, else with what was heard."""
    base_url = target.address if target.transport == "webrtc" else ""
    async with Api(launch.settings, base_url) as api:
        live = api.available or bool(leg.token)
        showing = asyncio.create_task(show_transcript(api, leg, console)) if live else None
        try:
            tell = (lambda _: None) if live else (lambda moment: say_moment(console, moment))
            said = await Conversation(leg, clock, Manners(), tell).run(lines)
            await leg.hangup()
        finally:
            if showing is not None:
                await asyncio.wait({showing}, timeout=_SETTLE_DEADLINE_S)
                showing.cancel()
    return said


async def hear_all(
    said: Sequence[Utterance], clips: Sequence[Clip], leg: CallerLeg, launch: Launch, clock: Clock
) -> list[HeardTurn]:
    """Measure every turn and read the agent's words by asr where it can be reached."""
    turns = []
    for index, heard in enumerate(hear_turns(said, leg.sent, leg.heard)):
        words = ""
        if (audio := answer_audio(leg, heard)) is not None:
            try:
                words = await transcribe(audio, leg.heard.rate_hz, launch.settings, clock)
            except TrunklineError:
                words = ""  # asr is out of reach (a remote stack): the audio was heard all the same.
        turns.append(HeardTurn(clips[index].text or clips[index].name, heard, words))
    return turns


def answer_audio(leg: CallerLeg, heard: TurnHeard) -> Pcm | None:
    """The agent's answer to one turn, up to its next silence."""
    if heard.answer_ns is None:
        return None
    audio = leg.heard.audio()
    for span in speech_spans(audio, leg.heard.rate_hz, pause_ms=900):
        begins_ns = leg.heard.time_ns(span.start)
        ends_ns = leg.heard.time_ns(span.end)
        if begins_ns <= heard.answer_ns <= ends_ns:
            margin = leg.heard.rate_hz // 10
            return audio[max(0, span.start - margin) : span.end + margin]
    return None


def say_moment(console: Console, moment: Moment) -> None:
    """One line per thing that happens, as it happens."""
    words = {
        "caller_speaks": f"caller {'interrupts' if moment.interrupting else 'speaks'}: {moment.text or '(recording)'}",
        "agent_speaks": "agent speaks",
        "no_answer": "no answer",
        "ended": f"the call ended: {moment.text}",
    }
    if line := words.get(moment.kind):
        console.print(f"  {line}", markup=False, highlight=False)


def to_json(leg: CallerLeg, turns: Sequence[HeardTurn], record: Path | None) -> dict[str, object]:
    """For `--json`."""
    return {
        "transport": leg.transport,
        "codec": leg.codec,
        "answered": all_answered(turns),
        "turns": [
            {
                "turn": turn.heard.turn,
                "said": turn.said,
                "outcome": turn.heard.outcome,
                "heard": turn.words,
                "voice_to_voice_ms": _rounded(turn.heard.voice_to_voice_ms),
                "barge_in_stop_ms": _rounded(turn.heard.barge_in_stop_ms),
            }
            for turn in turns
        ],
        "dropped_frames": dropped_frames(leg.heard),
        "lost_packets": leg.lost_packets,
        "recording": str(record) if record else "",
    }


def _print(console: Console, leg: CallerLeg, turns: Sequence[HeardTurn], record: Path | None, length_s: float) -> None:
    for turn in turns:
        console.print(f"{turn.heard.turn}. caller: {turn.said}", markup=False, highlight=False)
        heard = turn.words or ("(heard, not transcribed)" if turn.heard.answer_ns else f"({turn.heard.outcome})")
        console.print(f"   agent:  {heard}", markup=False, highlight=False)
        times = []
        if turn.heard.voice_to_voice_ms is not None:
            times.append(f"voice to voice {turn.heard.voice_to_voice_ms:.0f} ms")
        if turn.heard.barge_in_stop_ms is not None:
            times.append(f"stopped {turn.heard.barge_in_stop_ms:.0f} ms after the interruption")
        if times:
            console.print(f"           {', '.join(times)}", style="cyan", highlight=False)
    dropped = dropped_frames(leg.heard)
    console.print(f"dropped frames: {dropped}, lost packets: {leg.lost_packets}", highlight=False)
    if record:
        console.print(f"recording: {record} ({length_s:.1f} s, left caller, right agent)", highlight=False)


async def _clips(request: CallRequest, launch: Launch, clock: Clock) -> list[Clip]:
    if not request.wavs and not request.texts:
        raise InvalidInputError("what to say", expected="--wav FILE or --text WORDS", got="neither")
    clips = [load_clip(path) for path in request.wavs]
    for text in request.texts:
        clips.append(await speak(text, launch.settings, clock))
    return clips


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
