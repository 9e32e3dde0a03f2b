"""An act that waits for its back end, and that the caller does not want any more: looked up, named, asked about. Pure.

"forget about the refund" ─► what waits? ─► none: said so
                                        ─► one: who calls? ─► "shall I …?" ─► yes, heard ─► taken back, or too late
                                        ─► several: a person
"""

from services.orchestrator.dialogue.model import TakenBack, WaitingFound
from services.orchestrator.dialogue.state import Question, Request
from services.orchestrator.dialogue.talk import Talk


def look_up(talk: Talk, goal: str) -> None:
    """Of this call and of earlier ones; the rest waits for that."""
    talk.state.question, talk.state.taking_back = None, ""
    tools = tuple(name for name in talk.bundle.goals[goal].do if talk.bundle.tools[name].writes)
    talk.find_waiting(Request("waiting", tools[0] if tools else "", goal), tools)


def found(talk: Talk, event: WaitingFound) -> None:
    """What there is of it."""
    request = talk.state.requests.pop(event.request, None)
    if request is None:
        return
    if event.acts is None:
        talk.tell("talk.down")
    elif not event.acts:
        talk.tell("talk.nothing_waits")
    elif len(event.acts) > 1:
        talk.hand_over("several_wait")
    elif event.acts[0].level > talk.state.level:
        if talk.bundle.agent.identify.keys is None:
            talk.hand_over("not_identified")
            return
        talk.state.taking_back = request.goal
        talk.identify(event.acts[0].level, None)
    else:
        talk.ask(Question("take_back", goals=(request.goal,), digest=event.acts[0].effect_id), "talk.take_back")


def agreed(talk: Talk, question: Question) -> None:
    """A yes to exactly that, heard to its end."""
    if question.heard is not True:
        talk.ask(question, "talk.take_back")
        return
    talk.state.question = None
    talk.take_back(Request("take_back", "", question.goals[0], digest=question.digest))


def ended(talk: Talk, event: TakenBack) -> None:
    """What became of it is told as it is."""
    request = talk.state.requests.pop(event.request, None)
    if request is None:
        return
    done = next((one for one in talk.state.done if one.effect_id == request.digest), None)
    if event.how == "taken back":
        if done is not None:
            # Asked for once more, it is a new one.
            done.state = "failed"
        talk.tell("talk.taken_back")
    elif event.how == "done":
        if done is not None:
            done.state = "committed"
        talk.tell("talk.already")
    else:
        talk.tell("talk.nothing_waits" if event.how == "ended" else "talk.unknown")
