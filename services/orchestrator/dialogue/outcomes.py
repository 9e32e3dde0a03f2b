"""What the answers of back ends and the control layer mean for the dialogue: go on, ask, or tell it as it is. Pure."""

from services.common.personal import Personal
from services.orchestrator.bundles.model import Tool
from services.orchestrator.control.model import Allowed, Denied, Outcome, Proposal, Rejected
from services.orchestrator.dialogue.arguments import slots_of
from services.orchestrator.dialogue.filling import failed, resolved, undo
from services.orchestrator.dialogue.goals import open_frame, over
from services.orchestrator.dialogue.model import EffectDone, Identified, Judged, ReadDone
from services.orchestrator.dialogue.state import Answered, Done, Frame, Question, Request
from services.orchestrator.dialogue.steps import finish, prompt_of
from services.orchestrator.dialogue.talk import Talk

# Why an act was not done, as the control layer names it: the yes did not count (not heard, too late, other arguments).
UNCONFIRMED = "rule confirmation"
# Keys were tried and more of them lead nowhere.
_NO_MORE_KEYS = frozenset({"locked", "no way", "down"})


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
    if (
        event.how in _NO_MORE_KEYS
        or state.counts.not_identified >= talk.bundle.agent.escalation.clarify_fails_same_slot
    ):
        talk.hand_over("not_identified")
    else:
        talk.identify(question.level, "talk.not_identified")


def _end_beside(talk: Talk, frame: Frame) -> None:
    goal, question = talk.bundle.goals[frame.goal], talk.state.question
    if all(name in frame.steps for name in goal.do):
        finish(talk, frame)
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
    if denied.how == "step_up" and talk.bundle.agent.identify.keys is None:
        # There is nothing to key: a person has to find out who it is.
        talk.hand_over("not_identified", prompt=denied.prompt)
    elif denied.how == "step_up":
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
    elif outcome.state == "failed" and outcome.reason.startswith(UNCONFIRMED):
        # Nothing was done: it is judged and read back anew, until that goes on for too long.
        for name in slots_of(tool):
            if name in talk.state.slots:
                talk.state.slots[name].confirmed = False
        failed(talk, talk.bundle.goals[frame.goal].do[len(frame.steps)])
    elif outcome.state == "failed" and outcome.reason.startswith(("refused", "rule")):
        talk.tell("talk.refused")
        over(talk, frame, "refused")
    elif outcome.state == "failed":
        _down(talk, frame, tool, outcome.reason)
    elif outcome.state == "queued":
        # It waits for its back end: what the bundle says then, and to a person where it says so.
        _down(talk, frame, tool, outcome.reason)
    elif outcome.state == "review":
        talk.tell("talk.review")
        over(talk, frame, "review")
    else:
        talk.tell("talk.unknown")
        over(talk, frame, "unknown")
