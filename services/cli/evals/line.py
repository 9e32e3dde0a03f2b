"""One real call's transcript for the gates, from the call's own events: what went out, was heard, was keyed. Pure.

The stack's events are its account of the line, not of its acts: the text that left the synthesiser, the recogniser's
final words. What was done is never taken from them.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.cli.evals.listening import Listening
from services.cli.evals.transcript import Over, Spoken, Transcript


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Acts in the books by kind, at a time (CLOCK_MONOTONIC)."""

    at_ns: int
    done: Mapping[str, int]


def transcript_of(
    events: Sequence[Mapping[str, Any]],
    listening: Listening,
    subject: str,
    locale: str,
    *,
    keyed: Sequence[str],
    books: Sequence[Snapshot],
    stuck: str = "",
) -> Transcript:
    """`keyed`: what the caller keyed, in order. `books`: read during the call; a sentence gets the first after it.

    `stuck`: why the caller gave up.
    """
    script = Transcript(subject, locale)
    keys = list(keyed)
    heard: dict[int, tuple[str, float]] = {}
    turn = speech = 0
    for event in events:
        match event.get("type"):
            case "FinalTranscript" if not event["provisional"]:
                heard[event["utterance"]] = (str(event["text"]).strip(), math.exp(min(0.0, event["avg_logprob"])))
            case "TurnEnded":
                turn = int(event["turn"])
                text, sure = heard.get(event["utterance"], ("", 0.0))
                script.spoken.append(Spoken(turn, "caller", text, heard=text, confidence=round(sure, 3)))
            case "KeysCollected":
                turn += 1
                entered = keys.pop(0) if keys else str(event["keys"])
                script.spoken.append(Spoken(turn, "caller", "", keys=entered))
            case "AgentSpeechEnded" if event["heard"]:
                speech += 1
                text = str(event["heard"]).strip()
                at = next((one.done for one in books if one.at_ns >= event["at_ns"]), None)
                prompt = next(iter(listening.prompts(text)), "")
                script.spoken.append(
                    Spoken(
                        int(event["turn"]),
                        "agent",
                        text,
                        prompt=prompt,
                        complete=bool(event["complete"]),
                        speech=speech,
                        done=Counter(at) if at is not None else None,
                    )
                )
            case "HandoverAsked":
                script.over = Over("handed_over", str(event["reason"]), str(event["route"]), turn)
    if script.over.how != "handed_over":
        script.over = Over("stuck", stuck, turns=turn) if stuck else Over("hung_up", turns=turn)
    return script


def levels(script: Transcript, pin: str, number_level: int, pin_level: int) -> dict[int, int]:
    """What the caller had shown, by the turn in which they did."""
    shown = {0: number_level}
    for one in script.caller():
        if pin and one.keys == pin:
            shown[one.turn] = pin_level
    return shown
