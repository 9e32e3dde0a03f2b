"""Values of slots: believed, asked back, matched to a record, taken back with all that depends on them. Pure.

heard ──below clarify──► not heard
  │
  ├──below accept, or rivals──► asked back: "is it …?", "… or …?"
  └──accept──► settled; a reference only with its one record
"""

from collections.abc import Iterable, Mapping, Sequence

from services.common.personal import Personal
from services.orchestrator.bundles.model import Slot
from services.orchestrator.control.model import Scalar
from services.orchestrator.dialogue.arguments import slots_of
from services.orchestrator.dialogue.locales.records import ONLY_WORDS
from services.orchestrator.dialogue.matching import matches, named_by
from services.orchestrator.dialogue.model import Reading, SlotData
from services.orchestrator.dialogue.state import Candidate, Given, Question
from services.orchestrator.dialogue.talk import Talk

# A clarification names so many.
NAMED = 2


def heard(talk: Talk, name: str, reading: Reading, turn: int) -> bool:
    """Take a reading for a slot, in the place of what was there. False: too unsure to be taken at all."""
    state, spec = talk.state, talk.bundle.slots[name]
    known = state.slots.get(name)
    confidence = 1.0 if reading.keyed else reading.confidence
    if confidence < spec.clarify or not _fits(spec, reading):
        failed(talk, name)
        return False
    if _one_of_the_named(talk, name, reading, turn):
        return True
    if known is not None and known.settled and same(known, reading.data.reveal()):
        return True
    undo(talk, name)
    unsure = bool(reading.rivals) or (confidence < spec.accept and spec.readback != "never")
    state.slots[name] = Given(
        reading.data,
        reading.text,
        turn,
        confidence,
        keyed=reading.keyed,
        rivals=reading.rivals,
        settled=spec.type != "ref" and not unsure,
    )
    return True


def same(given: Given, data: SlotData) -> bool:
    """Whether `data` says again what is known, as far as it says anything."""
    if given.record is not None and isinstance(data, Mapping):
        known = {name: value.reveal() for name, value in given.record.items()}
        return bool(matches(data, [known], tuple(known)))
    return given.data.reveal() == data


def choose(talk: Talk, name: str, candidate: Candidate, *, turn: int, text: Personal[str], sure: float = 1.0) -> None:
    """The caller picked one of what was named, or said yes to it."""
    spec = talk.bundle.slots[name]
    before = talk.state.slots.get(name)
    evidence = text if before is None or candidate.record is not None else before.text
    confidence = max(sure if before is None else before.confidence, spec.accept)
    undo(talk, name)
    keyed = before.keyed if before is not None else False
    given = Given(candidate.data, evidence, turn, confidence, keyed=keyed, record=candidate.record, settled=True)
    # What was named in full and picked was read back by that.
    given.confirmed = True
    talk.state.slots[name] = given
    _focus(talk, name, candidate)


def the_same(talk: Talk, name: str, turn: int, text: Personal[str]) -> bool:
    """ "That one", "the same account": the record of that tool which was used last in this call."""
    spec = talk.bundle.slots[name]
    if spec.resolve is None or (candidate := talk.state.in_focus.get(spec.resolve.tool)) is None:
        return False
    source = talk.state.in_focus_by.get(spec.resolve.tool, "")
    if source == name and name in talk.state.slots:
        return True
    undo(talk, name)
    depends = (source,) if source and source != name else ()
    talk.state.slots[name] = Given(
        candidate.data, text, turn, spec.accept, record=candidate.record, settled=True, depends_on=depends
    )
    return True


def undo(talk: Talk, name: str) -> None:
    """A value is no longer so: nor is what was derived, answered, judged or asked with it. What was done stays done."""
    state = talk.state
    state.slots.pop(name, None)
    for number, request in list(state.requests.items()):
        if request.kind != "perform" and (request.slot == name or name in request.slots):
            del state.requests[number]
    for tool in [tool for tool, answer in state.answers.items() if name in answer.slots and not answer.committed]:
        del state.answers[tool]
        for frame in state.frames:
            if frame.is_open and tool in frame.steps:
                frame.steps.remove(tool)
    question = state.question
    if question is not None and (question.slot == name or _asks_about(talk, question, name)):
        state.question = None
    for other in [other for other, given in state.slots.items() if name in given.depends_on]:
        undo(talk, other)


def failed(talk: Talk, name: str) -> None:
    """Its value was not understood once more; a person takes over when that goes on."""
    counts = talk.state.counts.clarify_fails
    counts[name] = counts.get(name, 0) + 1
    if counts[name] >= talk.bundle.agent.escalation.clarify_fails_same_slot:
        talk.hand_over("clarification")


def resolved(talk: Talk, name: str, records: Sequence[Mapping[str, Scalar]]) -> None:
    """The records are there: which one is meant? Settles, asks which, or says that there is none."""
    state, spec = talk.state, talk.bundle.slots[name]
    given = state.slots.get(name)
    if given is None or spec.resolve is None or given.settled:
        return
    fields = spec.resolve.match
    found = matches(given.data.reveal(), records, fields)
    for rival in given.rivals:
        found += [index for index in matches(rival.reveal(), records, fields) if index not in found]
    if not found:
        undo(talk, name)
        talk.tell("talk.none_found")
        failed(talk, name)
        return
    candidates = [Candidate(given.data, _record(records[index])) for index in found]
    if len(candidates) == 1 and _sure(talk, name, given, records[found[0]]):
        given.record, given.settled, given.rivals = candidates[0].record, True, ()
        _focus(talk, name, candidates[0])
        return
    ask_which(talk, name, candidates)


def _sure(talk: Talk, name: str, given: Given, record: Mapping[str, Scalar]) -> bool:
    """Whether the one record that fits is the one meant.

    Words alone are taken with reserve, for they may name nothing. When they are the name of exactly one record, that
    reserve is lifted, only where all is read back before it is done; what the recogniser doubted stays in doubt.
    """
    spec, data = talk.bundle.slots[name], given.data.reveal()
    if given.confidence >= spec.accept:
        return True
    by_name = isinstance(data, Mapping) and named_by(data, record)
    return by_name and given.confidence / ONLY_WORDS >= spec.accept and _read_back_later(talk, name)


def _read_back_later(talk: Talk, name: str) -> bool:
    """Nothing is done with it at the goal at hand without its being named and agreed to, or the bundle finds it sure.

    How sure it is stays with the value, so a read-back that the bundle makes depend on that is made.
    """
    frame = talk.state.active
    tools = [talk.bundle.tools[tool] for tool in talk.bundle.goals[frame.goal].do] if frame is not None else []
    return all(
        tool.confirm is not None
        and (tool.confirm.when == "true" or "slot.min_confidence" in tool.confirm.when)
        and name in talk.read_back_by(tool)
        for tool in tools
        if tool.writes and name in slots_of(tool)
    )


def ask_which(talk: Talk, name: str, candidates: Sequence[Candidate]) -> None:
    """Name the first two, or the only one, and ask."""
    state = talk.state
    named = tuple(candidates[:NAMED])
    state.offered, state.offered_for = named, name
    if len(named) == 1:
        talk.ask(Question("is_it", slot=name, candidates=named), "talk.is_it")
    else:
        talk.ask(Question("which", slot=name, candidates=named), "talk.which")


def ask_back(talk: Talk, name: str) -> None:
    """A value that is there but not sure enough: is it that, or its rival?"""
    given = talk.state.slots[name]
    ask_which(talk, name, [Candidate(given.data, given.record), *(Candidate(rival) for rival in given.rivals)])


def plain(record: Mapping[str, Personal[Scalar]] | None) -> dict[str, Scalar]:
    """A record's values themselves: for matching, and for what understanding may point to."""
    return {name: value.reveal() for name, value in (record or {}).items()}


def _record(record: Mapping[str, Scalar]) -> dict[str, Personal[Scalar]]:
    return {name: Personal(value, "record") for name, value in record.items()}


def _focus(talk: Talk, name: str, candidate: Candidate) -> None:
    spec = talk.bundle.slots[name]
    if spec.resolve is not None and candidate.record is not None:
        talk.state.in_focus[spec.resolve.tool] = candidate
        talk.state.in_focus_by[spec.resolve.tool] = name


def _fits(spec: Slot, reading: Reading) -> bool:
    data = reading.data.reveal()
    if spec.type == "digits" and spec.length is not None:
        return isinstance(data, str) and len(data) == spec.length
    return not isinstance(data, str) or bool(data.strip())


def _one_of_the_named(talk: Talk, name: str, reading: Reading, turn: int) -> bool:
    """More words about one of those just named pick it: "the fifty pound one"."""
    question = talk.state.question
    if question is None or question.kind not in ("which", "is_it") or question.slot != name:
        return False
    data = reading.data.reveal()
    spec = talk.bundle.slots[name]
    if spec.resolve is not None:
        found = matches(data, [plain(candidate.record) for candidate in question.candidates], spec.resolve.match)
    else:
        found = [i for i, candidate in enumerate(question.candidates) if candidate.data.reveal() == data]
    if len(found) != 1 or (question.kind == "is_it" and spec.resolve is not None):
        return False
    choose(talk, name, question.candidates[found[0]], turn=turn, text=reading.text)
    return True


def _asks_about(talk: Talk, question: Question, name: str) -> bool:
    asked: Iterable[str] = ()
    if question.proposal is not None:
        asked = slots_of(talk.bundle.tools[question.proposal.tool])
    return name in asked
