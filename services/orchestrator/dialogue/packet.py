"""What a state tells somebody else: the person who takes over, the control layer of the worker that goes on. Pure."""

from collections.abc import Mapping

from services.common.personal import Personal
from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.control.model import Scalar
from services.orchestrator.dialogue.filling import plain
from services.orchestrator.dialogue.ports import Packet
from services.orchestrator.dialogue.state import DialogueState


def packet_of(bundle: Bundle, state: DialogueState, last_words: Personal[str]) -> Packet:
    """For a person: what was wanted, what is known, what was done and what was not. Masked values stay out."""
    return Packet(
        goals=tuple((frame.goal, frame.status) for frame in state.frames),
        values={name: given.data for name, given in state.slots.items() if not bundle.slots[name].masked},
        done=tuple(state.done),
        reasons=tuple(frame.reason for frame in state.frames if frame.reason),
        level=state.level,
        last_words=last_words,
    )


def known_records(bundle: Bundle, state: DialogueState) -> Mapping[str, list[dict[str, Scalar]]]:
    """Per tool, the records of reads that the state still holds."""
    found: dict[str, list[dict[str, Scalar]]] = {}

    def add(tool: str, record: Mapping[str, Personal[Scalar]] | None) -> None:
        values = plain(record)
        if values and values not in found.setdefault(tool, []):
            found[tool].append(values)

    for name, given in state.slots.items():
        resolve = bundle.slots[name].resolve
        if resolve is not None:
            add(resolve.tool, given.record)
    question = state.question
    for slot, candidates in (
        (state.offered_for, state.offered),
        (question.slot, question.candidates) if question is not None else ("", ()),
    ):
        resolve = bundle.slots[slot].resolve if slot else None
        for candidate in candidates:
            if resolve is not None:
                add(resolve.tool, candidate.record)
    for tool, answer in state.answers.items():
        if not answer.committed:
            add(tool, answer.fields)
    return found
