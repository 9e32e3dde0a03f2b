"""What is done next for the goal at hand (ask, look up, propose, read back, perform) and what answers mean. Pure."""

from services.common.personal import Personal
from services.orchestrator.bundles.model import Slot, Tool
from services.orchestrator.bundles.templates import Hole, holes
from services.orchestrator.control.model import Allowed, Denied, Outcome, Proposal, Rejected
from services.orchestrator.dialogue import arguments
from services.orchestrator.dialogue.arguments import slots_of
from services.orchestrator.dialogue.filling import ask_back, failed, resolved, undo
from services.orchestrator.dialogue.goals import needed, open_frame, over
from services.orchestrator.dialogue.model import EffectDone, Identified, Judged, ReadDone
from services.orchestrator.dialogue.state import Answered, Done, Frame, Question, Request
from services.orchestrator.dialogue.talk import Talk


def advance(talk: Talk) -> None:
    """Go on until the caller or a back end has to answer. Never returns with nothing open, unless the call is over."""
    state = talk.state
    while not state.handed_over and state.question is None:
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
    return _finish(talk, frame)


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
    return not any(name in _read_back_by(talk, talk.bundle.tools[tool]) for tool in talk.bundle.goals[frame.goal].do)


def _read_back_by(talk: Talk, tool: Tool) -> set[str]:
    if tool.confirm is None:
        return set()
    text = talk.bundle.prompt(tool.confirm.prompt, talk.locale).text
    names = (hole.name.split(".") for hole in holes(text) if isinstance(hole, Hole))
    return {parts[1] for parts in names if parts[0] == "slot"}


def _do(talk: Talk, frame: Frame, name: str, tool: Tool) -> bool:
    state, uses = talk.state, slots_of(tool)
    if not tool.writes:
        talk.read(Request("step", name, frame.goal, args=_plain_args(talk, name), slots=uses))
        return False
    made = arguments.proposal(talk.bundle, name, state)
    done = next((done for done in state.done if done.digest == arguments.digest(made)), None)
    if done is not None and done.state != "failed":
        # The same act in the same call: it is not done again, and nobody is told that it was.
        talk.tell({"committed": "talk.already", "review": "talk.review"}.get(done.state, "talk.unknown"))
        over(talk, frame, "already")
        return True
    talk.judge(Request("judge", name, frame.goal, slots=uses), made)
    return False


def _finish(talk: Talk, frame: Frame) -> bool:
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


# ---- answers


def read_done(talk: Talk, event: ReadDone) -> None:
    """Records, or why there are none."""
    request = talk.state.requests.pop(event.request, None)
    if request is None:
        return
    frame = open_frame(talk, request.goal)
    if frame is None or frame is not talk.state.active:
        # Looked up for a goal that waits now: it is looked up again when that comes back.
        return
    if event.records is None:
        if event.denied is not None:
            _denied(talk, frame, event.denied)
        else:
            _down(talk, frame, talk.bundle.tools[event.tool], event.reason)
    elif request.kind == "resolve":
        resolved(talk, request.slot, event.records)
    else:
        first = event.records[0] if event.records else {}
        fields = {name: Personal(value, "answer") for name, value in first.items()}
        talk.state.answers[event.tool] = Answered(fields, slots=request.slots)
        frame.steps.append(event.tool)


def judged(talk: Talk, event: Judged) -> None:
    """The verdict: ask first, do it, or say why not."""
    request = talk.state.requests.pop(event.request, None)
    if request is None or request.proposal is None:
        return
    frame, made = open_frame(talk, request.goal), request.proposal
    if frame is None or frame is not talk.state.active:
        return
    match event.verdict:
        case Allowed():
            tool = talk.bundle.tools[made.tool]
            if tool.confirm is not None and (event.confirm or _unread(talk, tool)):
                question = Question("confirm", proposal=made, digest=request.digest)
                talk.ask(question, prompt_of(talk, question))
            else:
                perform(talk, frame, made, confirmed=False)
        case Denied():
            _denied(talk, frame, event.verdict)
        case Rejected(argument=argument):
            _rejected(talk, frame, made, argument)


def perform(talk: Talk, frame: Frame, made: Proposal, *, confirmed: bool) -> None:
    """Set it going; from here on it cannot be taken back."""
    uses = slots_of(talk.bundle.tools[made.tool])
    talk.perform(Request("perform", made.tool, frame.goal, confirmed=confirmed, slots=uses), made)


def effect_done(talk: Talk, event: EffectDone) -> None:
    """What became of an act is told as it is."""
    state = talk.state
    request = state.requests.pop(event.request, None)
    if request is None:
        return
    frame = open_frame(talk, request.goal)
    outcome = event.outcome
    if outcome is not None:
        state.done.append(Done(request.tool, request.digest, outcome.state, outcome.effect_id))
    if outcome is not None and outcome.state == "committed":
        fields = {name: Personal(value, "answer") for name, value in outcome.answer.items()}
        state.answers[request.tool] = Answered(fields, committed=True, slots=request.slots)
        if frame is not None:
            frame.steps.append(request.tool)
            if frame is not state.active:
                # Another goal came between: this one ends here, without taking the floor from it.
                _end_beside(talk, frame)
        return
    if frame is None:
        return
    question = state.question if frame is not state.active else None
    _not_committed(talk, frame, outcome, mismatch=event.mismatch)
    if question is not None and not state.handed_over:
        state.question = question


def identified(talk: Talk, event: Identified) -> None:
    """By keys, or not. What waited for it goes on by itself: it is looked up and judged again."""
    state = talk.state
    question = state.question
    better = event.level > state.level
    state.level = max(state.level, event.level)
    state.caller.update(event.caller)
    if question is None or question.kind != "identify":
        return
    if better:
        state.question, state.counts.not_identified = None, 0
        return
    state.counts.not_identified += 1
    if state.counts.not_identified >= talk.bundle.agent.escalation.clarify_fails_same_slot:
        talk.hand_over("not_identified")
    else:
        talk.identify(question.level, "talk.not_identified")


def _end_beside(talk: Talk, frame: Frame) -> None:
    goal, question = talk.bundle.goals[frame.goal], talk.state.question
    if all(name in frame.steps for name in goal.do):
        _finish(talk, frame)
        if not talk.state.handed_over:
            talk.state.question = question


def _unread(talk: Talk, tool: Tool) -> bool:
    """A value that must always be read back was not yet."""
    given = talk.state.slots
    return any(
        talk.bundle.slots[name].readback == "always" and name in given and not given[name].confirmed
        for name in slots_of(tool)
    )


def _denied(talk: Talk, frame: Frame, denied: Denied) -> None:
    if denied.how == "step_up":
        talk.identify(talk.state.level + 1, denied.prompt)
    elif denied.how == "human_review":
        talk.tell(denied.prompt or "talk.review")
        over(talk, frame, "review")
    else:
        talk.tell(denied.prompt or "talk.not_allowed")
        over(talk, frame, f"rule {denied.rule}")


def _rejected(talk: Talk, frame: Frame, made: Proposal, argument: str) -> None:
    """The value has no evidence or is of the wrong kind: it is asked for again, by its own question."""
    source = talk.bundle.tools[made.tool].args.get(argument, "")
    slot = source.split(".")[1] if source.startswith("slot.") else ""
    if not slot:
        talk.tell("talk.trouble")
        over(talk, frame, "failed")
        return
    undo(talk, slot)
    talk.tell("talk.not_heard")
    failed(talk, slot)


def _down(talk: Talk, frame: Frame, tool: Tool, reason: str) -> None:
    degrade = tool.degrade
    over(talk, frame, "down")
    prompt = degrade.say if degrade is not None else "talk.not_allowed" if reason == "denied" else "talk.down"
    if degrade is not None and degrade.handoff is not None:
        talk.hand_over("tool_failed", degrade.handoff, prompt)
    else:
        talk.tell(prompt)


def _not_committed(talk: Talk, frame: Frame, outcome: Outcome | None, *, mismatch: bool) -> None:
    tool = talk.bundle.tools[talk.bundle.goals[frame.goal].do[len(frame.steps)]]
    if outcome is None:
        over(talk, frame, "mismatch" if mismatch else "down")
        talk.hand_over(
            "mismatch" if mismatch else "tool_failed", prompt=f"talk.{'mismatch' if mismatch else 'trouble'}"
        )
    elif outcome.state == "failed" and outcome.reason.startswith(("refused", "rule")):
        talk.tell("talk.refused")
        over(talk, frame, "refused")
    elif outcome.state == "failed":
        _down(talk, frame, tool, outcome.reason)
    elif outcome.state == "review":
        talk.tell("talk.review")
        over(talk, frame, "review")
    else:
        talk.tell("talk.unknown")
        over(talk, frame, "unknown")
