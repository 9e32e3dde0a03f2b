"""Prints both sides of a call as they are said, from the call's own events."""

from rich.console import Console
from rich.text import Text

from services.cli.api import Api
from services.cli.caller import CallerLeg
from services.cli.transcript import Transcript
from services.common.errors import TrunklineError

_STYLES = {"caller": "cyan", "agent": "green", "note": "yellow"}


async def show_transcript(api: Api, leg: CallerLeg, console: Console) -> None:
    """Until the call ends. Says so when the events cannot be read (no operator token, another machine)."""
    transcript = Transcript()
    try:
        call_id = leg.call_id or await api.call_id(leg.peer_reference)
        if not call_id:
            console.print("(no live transcript: the stack's API does not know this call)", markup=False)
            return
        async for event in api.events(call_id, leg.token):
            for line in transcript.feed(event):
                if line.final:
                    console.print(Text(f"{line.speaker:>8}  ", style=_STYLES[line.speaker]) + Text(line.text))
    except TrunklineError as error:
        console.print(f"(no live transcript: {error})", markup=False, highlight=False)
