"""Both sides of a call as a person reads them, line by line, from the call's own events. Pure but for the printing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Speaker = Literal["caller", "agent", "note"]


@dataclass(frozen=True, slots=True)
class Said:
    """One line. `final` is False for words that may still change."""

    speaker: Speaker
    text: str
    final: bool = True


class Transcript:
    """Feed it the events of one call in their order; it answers with the lines to show.

    The agent's line is what was heard (`AgentSpeechEnded`), not what was generated; an interrupted one says so.
    """

    def __init__(self) -> None:
        self._partial = ""

    def feed(self, event: Mapping[str, Any]) -> list[Said]:
        """Lines for one event of the API's stream."""
        match event.get("type"):
            case "PartialTranscript":
                return self._on_partial(event)
            case "FinalTranscript" if not event.get("provisional") and event.get("text"):
                self._partial = ""
                return [Said("caller", str(event["text"]).strip())]
            case "AgentSpeechEnded" if event.get("heard"):
                return [Said("agent", _heard(event))]
            case "BargeIn":
                return [Said("note", "the caller interrupts, the agent stops")]
            case "KeysCollected":
                return [
                    Said(
                        "note",
                        "the caller keyed a secret" if event.get("masked") else f"keys: {event.get('keys') or '…'}",
                    )
                ]
            case "ServiceFailed":
                again = "; the call tries again" if event.get("will_retry") else ""
                return [Said("note", f"{event.get('service')} does not answer ({event.get('code')}){again}")]
            case "CallEnded":
                return [Said("note", f"the call ended: {event.get('cause')}")]
        return []

    def _on_partial(self, event: Mapping[str, Any]) -> list[Said]:
        text = " ".join(part for part in (str(event.get("stable", "")), str(event.get("unstable", ""))) if part).strip()
        if not text or text == self._partial:
            return []
        self._partial = text
        return [Said("caller", text, final=False)]


def _heard(event: Mapping[str, Any]) -> str:
    heard = str(event["heard"]).strip()
    return heard if event.get("complete") else f"{heard} …"
