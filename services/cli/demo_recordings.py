"""`trunkline demo --recordings`: recorded human speech talks to the stack over SIP; then the stack is yours."""

import asyncio
import contextlib
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from services.cli.api import Api
from services.cli.call import HeardTurn, hear_all
from services.cli.clips import by_name, human_speech
from services.cli.conversation import Conversation, Line, Manners
from services.cli.dialers import open_dialer, stack_target
from services.cli.live_transcript import show_transcript
from services.cli.recording import save_stereo
from services.cli.stack import Launch
from services.cli.stats import StageSample, by_stage, distribution
from services.cli.terminal import EXIT_FAILED, Interrupts, StackView
from services.cli.up import RunningStack, started_stack, where_to_talk
from services.common.clock import Clock
from services.common.models import ModelStore

# The recordings are what there is: playing cards and a novel. The agent is told, so that the talk makes sense.
PROMPT = (
    "You are the voice assistant on a demonstration telephone line. Callers name playing cards, read from a novel or "
    "ask something. Answer in one or two short spoken sentences: say what you understood, then reply or ask what "
    "comes next. No lists, no symbols."
)
GREETING = "Hello, this is Trunkline's demonstration line, an automated assistant. Please say something."
_SENSE = "librivox/sense_and_sensibility_01_austen_64kb-"
_SCRIPT = ("cards/003.wav", f"{_SENSE}0880.wav", f"{_SENSE}0870.wav", f"{_SENSE}0930.wav", "cards/001.wav")
# The fourth line interrupts the answer to the long sentence before it.
_INTERRUPTS = f"{_SENSE}0930.wav"
_INTERRUPT_AFTER_MS = 1500
_MANNERS = Manners(agent_done_ms=1000, answer_deadline_ms=20_000)
# Stage times of the last turn arrive with the call's last events.
_SETTLE_DEADLINE_S = 3.0


def demo_launch(launch: Launch) -> Launch:
    """The agent of the demo, unless the user has set another prompt or greeting."""
    pairs = [f"agent.system_prompt={PROMPT}", f"agent.greeting={GREETING}"]
    # Earlier pairs lose against the user's own, which follow.
    return Launch.load(launch.config, launch.profile, (*pairs, *launch.overrides))


async def demo(launch: Launch, once: bool, clock: Clock, interrupts: Interrupts) -> int:
    """Returns 0 only if the caller heard an answer to everything it said (`once`), or after Ctrl-C."""
    console = Console()
    launch = demo_launch(launch)
    # Before minutes of loading: the caller's voice must be there.
    lines = script(launch)
    console.print("Starting Trunkline: six processes; the models are loaded and warmed first.", highlight=False)
    async with started_stack(launch, clock, interrupts, StackView(console=console)) as stack:
        answered = await _test_call(stack, lines, clock, console)
        if once:
            return 0 if answered else EXIT_FAILED
        for line in where_to_talk(stack):
            console.print(line, markup=False, highlight=False)
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            if not interrupts.seen:
                raise
            console.print("Stopping.")
    return 0 if answered else EXIT_FAILED


def script(launch: Launch) -> list[Line]:
    """What the caller says. Raises MissingModelError with the command that fetches the recordings."""
    clips = by_name(human_speech(ModelStore(launch.settings.models)), *_SCRIPT)
    return [Line(clip, _INTERRUPT_AFTER_MS if clip.name == _INTERRUPTS else None) for clip in clips]


async def _test_call(stack: RunningStack, lines: Sequence[Line], clock: Clock, console: Console) -> bool:
    settings = stack.launch.settings
    target = stack_target("sip", settings)
    console.print(Text("\nA caller dials the stack over SIP and speaks recorded human speech.", style="bold"))
    since_ns = clock.now_ns()
    async with Api(settings) as api, open_dialer(target, stack.launch, clock, codec="pcmu") as opened:
        leg = await opened.dialer.dial(target.address)
        console.print(f"Connected: {leg.codec}. The transcript comes from the call's own events.\n", highlight=False)
        showing = asyncio.create_task(show_transcript(api, leg, console))
        said = await Conversation(leg, clock, _MANNERS).run(lines)
        await leg.hangup()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(showing, _SETTLE_DEADLINE_S)
        samples = await api.stages(since_ns)
    turns = await hear_all(said, [line.clip for line in lines], leg, stack.launch, clock)
    path = settings.data_dir.expanduser() / "demo.wav"
    save_stereo(path, leg.sent, leg.heard)
    console.print()
    console.print(stage_table(samples, turns))
    return _verdict(console, turns, len(lines), str(path))


def stage_table(samples: Sequence[StageSample], turns: Sequence[HeardTurn]) -> Table:
    """P50 and P95 per stage, and what was heard."""
    table = Table(title="Where the time went, ms (few turns: see n)", box=None, pad_edge=False, title_justify="left")
    for column in ("stage", "n", "P50", "P95", ""):
        table.add_column(column, justify="left" if column in ("stage", "") else "right")
    rows = [(stage, values, "the stack's own figure") for stage, values in by_stage(samples).items()]
    heard = [t.heard.voice_to_voice_ms for t in turns if t.heard.voice_to_voice_ms is not None]
    stops = [t.heard.barge_in_stop_ms for t in turns if t.heard.barge_in_stop_ms is not None]
    rows += [("voice_to_voice", heard, "heard in the audio"), ("barge_in_stop", stops, "heard in the audio")]
    for stage, values, source in rows:
        figures = distribution(values)
        if figures.n:
            table.add_row(stage, str(figures.n), f"{figures.p50_ms:.0f}", f"{figures.p95_ms:.0f}", source)
    return table


def _verdict(console: Console, turns: Sequence[HeardTurn], expected: int, recording: str) -> bool:
    """Whether the caller heard an answer, in words, to everything it said."""
    unanswered = [str(turn.heard.turn) for turn in turns if turn.heard.answer_ns is None or not turn.words]
    console.print(f"Recording: {recording} (left caller, right agent)", highlight=False)
    if len(turns) == expected and not unanswered:
        console.print("The caller heard an answer to everything it said.", style="green")
        return True
    missing = ", ".join(unanswered) or "the call ended before its last turn"
    console.print(f"Not everything was answered: turn {missing}.", style="bold red", highlight=False)
    return False
