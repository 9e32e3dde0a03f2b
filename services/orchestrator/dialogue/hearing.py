"""What a turn of the caller's does to the dialogue: its acts, one after the other, against the open question. Pure.

Order within a turn: a person first, then what is dropped, what is wanted, what values are given, and last yes and no,
which count only for the one question that is open.
"""

from typing import TypeVar

from services.common.personal import Personal
from services.orchestrator.dialogue import arguments, taking_back
from services.orchestrator.dialogue.arguments import slots_of
from services.orchestrator.dialogue.filling import choose, failed, heard, the_same, undo
from services.orchestrator.dialogue.goals import open_frame, over, performing, reopen_for, start
from services.orchestrator.dialogue.locales import LOCALES, pack
from services.orchestrator.dialogue.model import FAREWELL, Act, End, ModelSaid, Reading, Understood
from services.orchestrator.dialogue.outcomes import perform
from services.orchestrator.dialogue.state import Question
from services.orchestrator.dialogue.steps import prompt_of
from services.orchestrator.dialogue.talk import Talk

T = TypeVar("T")
# A yes or a no less sure than this is asked for again.
SURE_ANSWER = 0.6
# What keys say without a grammar; other types come read, as a value (session.py).
_KEYED_AS_THEY_ARE = frozenset({"digits", "ref"})
_ORDER = {"person": 0, "cancel": 1, "start": 2, "fill": 3, "select": 4, "affirm": 5, "deny": 5, "repeat": 6, "chat": 7}


def caller_said(talk: Talk, said: Understood) -> None:
    """All acts of a turn; what it leaves open is asked again."""
    state = talk.state
    state.turn, state.saying = said.turn, 0
    before = state.question
    if any(act.kind == "person" for act in said.acts):
        name = next(act.name for act in said.acts if act.kind == "person")
        _to_a_person(talk, name)
        return
    if said.rivals:
        state.counts.no_match = 0
        talk.ask(Question("which_goal", goals=said.rivals[:2]), "talk.which_goal")
        return
    effective = _in_order(talk, said.acts)
    did = False
    for act in effective:
        did = _act(talk, act, said) or did
        if state.handed_over:
            return
    if did:
        state.counts.no_match = 0
    else:
        _nothing(talk, said)
    if not state.handed_over and state.question is before and not state.saying:
        _ask_again(talk)


def model_said(talk: Talk, more: ModelSaid) -> None:
    """One sentence more; after the last one, what is open is asked again. Of a turn that is over, nothing is said."""
    state = talk.state
    if more.turn != state.saying:
        return
    if more.text:
        talk.free(more.text)
        return
    state.saying = 0
    question = state.question
    if question is not None:
        talk.ask(question, prompt_of(talk, question))


def keyed(talk: Talk, turn: int, slot: str, keys: Personal[str]) -> None:
    """Keys are a value that was not misheard; for a reference they are part of what names the record."""
    state = talk.state
    state.turn, state.saying = max(state.turn, turn), 0
    question = state.question
    name = slot or (question.slot if question is not None else "")
    if name not in talk.bundle.slots or (question is not None and question.kind == "identify"):
        _ask_again(talk)
        return
    if talk.bundle.slots[name].type not in _KEYED_AS_THEY_ARE:
        failed(talk, name)
        _not_heard(talk)
        _ask_again(talk)
        return
    before = state.question
    if not heard(talk, name, Reading(Personal(keys.reveal(), "keys"), keys, 1.0, keyed=True), turn):
        _not_heard(talk)
    _close(talk, name)
    if not state.handed_over and state.question is before:
        _ask_again(talk)


def _in_order(talk: Talk, acts: tuple[Act, ...]) -> list[Act]:
    """ "No, fifty": the no is about the value that is given in its place, not a refusal of the whole."""
    corrected = any(act.kind in ("fill", "select") for act in acts)
    kept = [act for act in acts if not (act.kind == "deny" and corrected)]
    starts = [act for act in kept if act.kind == "start" and act.name in talk.bundle.goals]
    # The one with the highest priority is started last, and so lies on top.
    starts.sort(key=lambda act: talk.bundle.goals[act.name].priority)
    others = sorted((act for act in kept if act.kind != "start"), key=lambda act: _ORDER[act.kind])
    first = [act for act in others if act.kind == "cancel"]
    return [*first, *starts, *(act for act in others if act.kind != "cancel")]


def _act(talk: Talk, act: Act, said: Understood) -> bool:
    """One act; False when it means nothing here."""
    match act.kind:
        case "start":
            return _start(talk, act, alone=all(other.kind == "start" for other in said.acts))
        case "fill":
            return _fill(talk, act, said)
        case "select":
            return _select(talk, act, said)
        case "affirm" | "deny" if act.confidence < SURE_ANSWER:
            return False
        case "affirm":
            return _affirm(talk, said)
        case "deny":
            return _deny(talk, leaves=act.name == FAREWELL)
        case "cancel":
            return _cancel(talk, act.name)
        case "repeat":
            talk.again()
            return True
        case _:
            return False


def _start(talk: Talk, act: Act, *, alone: bool) -> bool:
    question = talk.state.question
    if question is not None and question.kind == "which_goal":
        talk.state.question = None
    if not start(talk, act.name):
        if alone:
            # The caller says again what they want and nothing else: what they get is not it.
            _reformulated(talk)
        return True
    if talk.state.question is not None and talk.state.question.kind == "open":
        talk.state.question = None
    return True


def _fill(talk: Talk, act: Act, said: Understood) -> bool:
    state = talk.state
    if act.reading is None or act.name not in talk.bundle.slots:
        return False
    frame, question = state.active, state.question
    sure = act.reading.keyed or act.reading.confidence >= talk.bundle.slots[act.name].clarify
    if not sure and (question is None or question.slot != act.name):
        # Hardly heard and not asked for: noise, not an answer.
        return False
    if any(r.kind == "perform" and act.name in r.slots for r in state.requests.values()):
        talk.tell("talk.too_late")
        return True
    if act.corrects and act.name in state.slots:
        undo(talk, act.name)
    if heard(talk, act.name, act.reading, said.turn):
        _close(talk, act.name)
        reopen_for(talk, act.name)
    else:
        _not_heard(talk)
    if frame is None and state.question is not None and state.question.kind == "open":
        state.question = None if state.active is not None else state.question
    return True


def _close(talk: Talk, name: str) -> None:
    """A value came: the question for it is answered, and so is "what should be different?"."""
    question = talk.state.question
    if question is not None and name in talk.state.slots and (question.slot == name or question.kind == "change"):
        talk.state.question = None


def _select(talk: Talk, act: Act, said: Understood) -> bool:
    state, question = talk.state, talk.state.question
    if question is not None and question.kind == "which_goal" and act.which is not None:
        picked = _at(question.goals, act.which)
        return picked is not None and _start(talk, Act("start", picked), alone=False)
    asked = question is not None and question.kind in ("which", "is_it")
    name = act.name or (question.slot if question is not None and asked else state.offered_for)
    if name not in talk.bundle.slots:
        return False
    offered = question.candidates if question is not None and asked and question.slot == name else ()
    if not offered and state.offered_for == name:
        offered = state.offered
    if act.which is None and len(offered) != 1:
        taken = the_same(talk, name, said.turn, said.words)
        if taken:
            _close(talk, name)
        return taken
    candidate = _at(offered, act.which or 0)
    if candidate is None:
        return False
    choose(talk, name, candidate, turn=said.turn, text=said.words, sure=act.confidence)
    _close(talk, name)
    reopen_for(talk, name)
    return True


def _affirm(talk: Talk, said: Understood) -> bool:
    state, question = talk.state, talk.state.question
    if question is None:
        return False
    match question.kind:
        case "is_it":
            choose(talk, question.slot, question.candidates[0], turn=said.turn, text=said.words)
            state.question = None
        case "confirm" if not _says_yes(talk, said):
            # Understanding alone does not agree for the caller: the words have to.
            return False
        case "confirm":
            _confirmed(talk, question)
        case "take_back" if not _says_yes(talk, said):
            return False
        case "take_back":
            taking_back.agreed(talk, question)
        case "open":
            talk.ask(Question("open"), "talk.open")
        case "change":
            # They want it after all: it is judged and read back anew, an old yes is no yes.
            state.question = None
        case _:
            return False
    return True


def _says_yes(talk: Talk, said: Understood) -> bool:
    """Whether the caller's own words are a yes in their language; without a pack for it nobody can tell."""
    if talk.locale not in LOCALES:
        return True
    answer = pack(talk.locale).yes_no(said.words.reveal())
    return answer is not None and answer[0]


def _confirmed(talk: Talk, question: Question) -> None:
    state, frame = talk.state, talk.state.active
    if question.heard is not True:
        # A yes to a sentence that was not heard to its end is none: it is read again.
        talk.ask(question, prompt_of(talk, question))
        return
    state.question = None
    if frame is None or question.proposal is None:
        return
    for name in slots_of(talk.bundle.tools[question.proposal.tool]):
        if name in state.slots:
            state.slots[name].confirmed = True
    made = arguments.proposal(talk.bundle, question.proposal.tool, state)
    if arguments.digest(made) == question.digest:
        perform(talk, frame, made, confirmed=True)


def _deny(talk: Talk, *, leaves: bool) -> bool:
    state, question = talk.state, talk.state.question
    if question is None:
        return False
    match question.kind:
        case "is_it" | "which":
            undo(talk, question.slot)
            state.question = None
            failed(talk, question.slot)
        case "confirm":
            talk.ask(Question("change"), "talk.change")
        case "change":
            return _cancel(talk, "")
        case "take_back":
            state.question = None
            talk.tell("talk.kept")
        case "which_goal":
            state.question = None
        case "open" if (talk.state.frames or leaves) and not talk.state.requests:
            talk.goodbye()
        case _:
            return False
    return True


def _cancel(talk: Talk, name: str) -> bool:
    frame = open_frame(talk, name) if name else talk.state.active
    if frame is None and name:
        taking_back.look_up(talk, name)
        return True
    if frame is None:
        return False
    if performing(talk, frame.goal):
        talk.tell("talk.too_late")
        return True
    if frame is talk.state.active:
        talk.state.question = None
    question = talk.state.question
    over(talk, frame, "cancelled")
    talk.state.question = question
    talk.tell("talk.cancelled")
    return True


def _nothing(talk: Talk, said: Understood) -> None:
    """Nothing that means anything here. What the model would say to it may be said; it is counted all the same."""
    if said.free:
        talk.free(said.free)
        talk.state.saying = said.turn if said.rest is not None else 0
        if any(act.kind == "chat" for act in said.acts):
            return
    counts = talk.state.counts
    counts.no_match += 1
    if counts.no_match >= talk.bundle.agent.escalation.no_match:
        talk.state.saying = 0
        talk.hand_over("no_match")
    elif talk.state.requests and talk.state.question is None:
        talk.tell("talk.working")
    elif not said.free and not talk.owed():
        # A word that only cut off what was done ("Yes", done, "please") is answered with what was done.
        talk.tell("talk.not_heard")


def _ask_again(talk: Talk) -> None:
    """The turn left the question open: it is asked again, unless what was said last was that question itself."""
    question = talk.state.question
    if any(isinstance(decision, End) for decision in talk.out):
        return
    if question is None or any(getattr(decision, "speech", 0) == question.speech for decision in talk.out):
        return
    if question.kind == "identify":
        talk.identify(question.level, None)
    elif question.kind != "open" or talk.out:
        talk.ask(question, prompt_of(talk, question))


def _not_heard(talk: Talk) -> None:
    if not talk.state.handed_over:
        talk.tell("talk.not_heard")


def _reformulated(talk: Talk) -> None:
    counts = talk.state.counts
    counts.reformulations += 1
    if counts.reformulations >= talk.bundle.agent.escalation.reformulations:
        talk.hand_over("reformulation", _route_of(talk))


def _route_of(talk: Talk) -> str:
    """To whom a person belongs who asks for one: the explicit goal's route."""
    return next((g.handoff for g in talk.bundle.goals.values() if g.handoff is not None and not g.do), "default")


def _to_a_person(talk: Talk, name: str) -> None:
    """A signal goes to the route of its own, if the bundle names one; all else to where whoever asks goes."""
    escalation = talk.bundle.agent.escalation
    named = escalation.signals[name].route if name in escalation.signals else None
    talk.hand_over(name if name in escalation.always else "asked", named or _route_of(talk))


def _at(items: tuple[T, ...], index: int) -> T | None:
    return items[index] if -len(items) <= index < len(items) else None
