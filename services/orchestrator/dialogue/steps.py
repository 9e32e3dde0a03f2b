"""What is done next for the goal at hand: ask, look up, propose, read back, tell. Pure."""

from services.common.personal import Personal
from services.orchestrator.bundles.model import Slot, Tool
from services.orchestrator.dialogue import arguments
from services.orchestrator.dialogue.arguments import slots_of
from services.orchestrator.dialogue.filling import ask_back
from services.orchestrator.dialogue.goals import needed, over
from services.orchestrator.dialogue.state import Frame, Question, Request
from services.orchestrator.dialogue.talk import Talk


def advance(talk: Talk) -> None:
    """Go on until the caller or a back end has to answer. Never returns with nothing open, unless the call is over."""
    state = talk.state
    while not state.handed_over and state.question is None:
        if any(request.kind in ("waiting", "take_back") for request in state.requests.values()):
            return
        frame = state.active
        if frame is None:
            if not state.requests:
                talk.ask(Question("open"), "talk.more" if state.frames else "talk.open")
            return
        if any(request.goal == frame.goal for request in state.requests.values()):
            return
        if frame.status == "suspended":
            frame.status = "active"
            talk.tell_goal("talk.back_to", frame.goal)
        if not _step(talk, frame):
            return


def prompt_of(talk: Talk, question: Question) -> str:
    """The sentence that asks it."""
    match question.kind:
        case "slot":
            spec = talk.bundle.slots[question.slot]
            again = talk.state.counts.clarify_fails.get(question.slot, 0) > 0
            return spec.clarify_ask if again and spec.clarify_ask is not None else spec.ask
        case "confirm":
            confirm = talk.bundle.tools[question.proposal.tool].confirm if question.proposal is not None else None
            return confirm.prompt if confirm is not None else "talk.open"
        case "open":
            return "talk.more" if talk.state.frames else "talk.open"
        case _:
            return f"talk.{question.kind}"


def _step(talk: Talk, frame: Frame) -> bool:
    """One thing for this goal; True when there may be more to do at once."""
    state, goal = talk.state, talk.bundle.goals[frame.goal]
    if goal.handoff is not None and not goal.do:
        over(talk, frame)
        talk.hand_over("asked", goal.handoff, goal.say)
        return False
    slots = needed(talk, frame.goal)
    if _look_up(talk, frame, slots):
        return False
    for name in slots:
        given = state.slots.get(name)
        if given is None:
            question = Question("slot", slot=name)
            talk.ask(question, prompt_of(talk, question))
            return False
        if not given.settled or _to_be_read_back(talk, frame, name, talk.bundle.slots[name]):
            ask_back(talk, name)
            return False
    for name in goal.do:
        if name not in frame.steps:
            return _do(talk, frame, name, talk.bundle.tools[name])
    return finish(talk, frame)


def _look_up(talk: Talk, frame: Frame, slots: tuple[str, ...]) -> bool:
    """Ask the back ends for all references that are not one record yet, side by side."""
    asked = False
    for name in slots:
        given, resolve = talk.state.slots.get(name), talk.bundle.slots[name].resolve
        if given is None or resolve is None or given.settled:
            continue
        if given.record is not None:
            continue
        args = _plain_args(talk, resolve.tool)
        uses = slots_of(talk.bundle.tools[resolve.tool])
        talk.read(Request("resolve", resolve.tool, frame.goal, slot=name, args=args, slots=(name, *uses)))
        asked = True
    return asked


def _to_be_read_back(talk: Talk, frame: Frame, name: str, spec: Slot) -> bool:
    """Whether it must be read back and no readback of an act will do it."""
    if spec.readback != "always" or talk.state.slots[name].confirmed:
        return False
    return not any(name in talk.read_back_by(talk.bundle.tools[tool]) for tool in talk.bundle.goals[frame.goal].do)


def _do(talk: Talk, frame: Frame, name: str, tool: Tool) -> bool:
    state, uses = talk.state, slots_of(tool)
    if not tool.writes:
        talk.read(Request("step", name, frame.goal, args=_plain_args(talk, name), slots=uses))
        return False
    made = arguments.proposal(talk.bundle, name, state)
    done = next((done for done in state.done if done.digest == arguments.digest(made)), None)
    if done is not None and done.state != "failed":
        # The same act in the same call: it is not done again, and nobody is told that it was.
        waits = tool.degrade.say if tool.degrade is not None else "talk.unknown"
        told = {"committed": "talk.already", "review": "talk.review", "queued": waits}
        talk.tell(told.get(done.state, "talk.unknown"))
        over(talk, frame, "already")
        return True
    talk.judge(Request("judge", name, frame.goal, slots=uses), made)
    return False


def finish(talk: Talk, frame: Frame) -> bool:
    """All steps are done: tell it, when what the goal is done by holds. True: there may be more to do."""
    goal = talk.bundle.goals[frame.goal]
    if goal.done_when is not None:
        tool, _, _ = goal.done_when.partition(".")
        answer = talk.state.answers.get(tool)
        if answer is None or answer.committed != talk.bundle.tools[tool].writes:
            talk.tell("talk.trouble")
            over(talk, frame, "failed")
            return True
    over(talk, frame)
    talk.tell(goal.say or "talk.done")
    talk.state.counts.clarify_fails.clear()
    if goal.handoff is not None:
        talk.hand_over("asked", goal.handoff)
    return True


def _plain_args(talk: Talk, name: str) -> dict[str, Personal[str | int | float | bool]]:
    return {key: value.value for key, value in arguments.arguments(talk.bundle, name, talk.state).items()}
