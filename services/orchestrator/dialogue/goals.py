"""The stack of goals: which one is worked on, which wait, which are over. Pure."""

from services.orchestrator.dialogue.arguments import slots_of
from services.orchestrator.dialogue.filling import undo
from services.orchestrator.dialogue.state import Frame
from services.orchestrator.dialogue.talk import Talk

# Over, but for no reason that lies in the values: they hold when the caller comes back to it.
_VALUES_HOLD = frozenset({"cancelled", "down"})


def start(talk: Talk, goal: str) -> bool:
    """Put a goal on the stack by its priority. False: it is worked on already, nothing new was said by that."""
    state = talk.state
    active = state.active
    if active is not None and active.goal == goal:
        return False
    known = open_frame(talk, goal)
    if known is not None:
        state.frames.remove(known)
    else:
        _forget_the_last_one(talk, goal)
    frame = known or Frame(goal, "suspended", state.turn)
    if active is not None and _priority(talk, active.goal) > _priority(talk, goal):
        state.frames.insert(_place_below(talk, goal), frame)
        if active.turn != state.turn:
            talk.tell_goal("talk.later", goal)
        return True
    if active is not None:
        active.status = "suspended"
    frame.status = "active"
    state.frames.append(frame)
    if state.question is not None:
        # What was open belongs to the goal that waits now; it is asked again when that comes back.
        state.question = None
    return True


def over(talk: Talk, frame: Frame, reason: str = "") -> None:
    """A goal is done (no reason) or given up."""
    frame.status, frame.reason = ("abandoned", reason) if reason else ("done", "")
    talk.state.question = None
    for number, request in list(talk.state.requests.items()):
        if request.goal == frame.goal and request.kind != "perform":
            del talk.state.requests[number]


def open_frame(talk: Talk, goal: str) -> Frame | None:
    """The frame of a goal that is not over."""
    return next((frame for frame in reversed(talk.state.frames) if frame.goal == goal and frame.is_open), None)


def reopen_for(talk: Talk, slot: str) -> None:
    """ "Then forty": a new value for what a rule refused takes it up again, when nothing open wants that value."""
    if any(slot in needed(talk, frame.goal) for frame in talk.state.frames if frame.is_open):
        return
    for frame in reversed(talk.state.frames):
        if slot in needed(talk, frame.goal):
            if frame.status == "abandoned" and frame.reason not in _VALUES_HOLD | {"unknown", "review"}:
                talk.state.frames.remove(frame)
                if (active := talk.state.active) is not None:
                    active.status = "suspended"
                talk.state.frames.append(Frame(frame.goal, "active", talk.state.turn))
                talk.state.question = None
            return


def needed(talk: Talk, goal: str) -> tuple[str, ...]:
    """Slots of a goal, in the order in which they are asked for."""
    spec = talk.bundle.goals[goal]
    used = [slot for tool in spec.do for slot in slots_of(talk.bundle.tools[tool])]
    return tuple(dict.fromkeys((*spec.needs, *used)))


def performing(talk: Talk, goal: str) -> bool:
    """Whether an act of it is on its way: it can no longer be stopped."""
    return any(request.kind == "perform" and request.goal == goal for request in talk.state.requests.values())


def _forget_the_last_one(talk: Talk, goal: str) -> None:
    """Asked for once more, it is another one: what tells one act from another is asked anew, the rest holds."""
    last = next((frame for frame in reversed(talk.state.frames) if frame.goal == goal), None)
    if last is None or last.reason in _VALUES_HOLD:
        return
    for name in talk.bundle.goals[goal].do:
        tool = talk.bundle.tools[name]
        scope = tool.idempotency.scope if tool.idempotency is not None else ()
        for argument in scope:
            source = tool.args.get(argument, "")
            if source.startswith("slot."):
                undo(talk, source.split(".")[1])


def _priority(talk: Talk, goal: str) -> int:
    return talk.bundle.goals[goal].priority


def _place_below(talk: Talk, goal: str) -> int:
    """Under every open goal that comes before it, over those that do not."""
    frames = talk.state.frames
    for index, frame in enumerate(frames):
        if frame.is_open and _priority(talk, frame.goal) > _priority(talk, goal):
            return index
    return len(frames)
