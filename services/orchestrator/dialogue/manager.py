"""A dialogue, sans I/O: events in, decisions out. All it knows is its state; nothing is awaited, no clock is read.

    CallerSaid, CallerKeyed ─► values and goals ─┐
    ReadDone, Judged, EffectDone, Identified ────┼─► go on ─► Say, Expect, Read, Judge, Perform, HandOver, End
    Played ─► was the readback heard? ───────────┘

After every event exactly one of these holds: a question is open, something is under way, or a person takes over. The
driver (session.py) stores `state` before it acts on the decisions.
"""

from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.dialogue import taking_back
from services.orchestrator.dialogue.filling import plain
from services.orchestrator.dialogue.goals import needed
from services.orchestrator.dialogue.hearing import caller_said, keyed, model_said
from services.orchestrator.dialogue.model import (
    CallerKeyed,
    CallerSaid,
    Decision,
    EffectDone,
    Event,
    HandOver,
    Identified,
    Judged,
    Legal,
    ModelSaid,
    Played,
    ReadDone,
    TakenBack,
    WaitingFound,
)
from services.orchestrator.dialogue.outcomes import effect_done, identified, judged, read_done
from services.orchestrator.dialogue.state import DialogueState, Question
from services.orchestrator.dialogue.steps import advance, prompt_of
from services.orchestrator.dialogue.talk import Talk


class Dialogue:
    """One call's. `state` is a fresh one, or one that was stored."""

    def __init__(self, bundle: Bundle, locale: str, state: DialogueState | None = None) -> None:
        self.bundle = bundle
        self.locale = locale
        self.state = state if state is not None else DialogueState()

    def begin(self) -> tuple[Decision, ...]:
        """The first words: what the law wants said, then a greeting that asks what is wanted."""
        talk = self._talk()
        agent = self.bundle.agent
        if agent.disclosure is not None:
            talk.tell(agent.disclosure)
        talk.ask(Question("open"), agent.greeting)
        talk.expect()
        return talk.end()

    def resume(self) -> tuple[Decision, ...]:
        """Another worker, or another line, goes on: what was not heard is told, what was open is asked, once."""
        talk, state = self._talk(), self.state
        unheard = [telling for telling in state.tellings.values() if telling.prompt != "talk.welcome_back"]
        state.tellings.clear()
        if not state.handed_over:
            talk.tell("talk.welcome_back")
        for telling in unheard:
            talk.tell_again(telling)
        if state.handed_over:
            talk.out.append(HandOver(state.route, state.handed_over))
            return talk.end()
        for number, request in list(state.requests.items()):
            talk.repeat_request(number, request)
        question = state.question
        if question is not None and question.kind == "identify":
            talk.identify(question.level, None)
        elif question is not None:
            talk.ask(question, prompt_of(talk, question))
        else:
            advance(talk)
        talk.expect()
        return talk.end()

    def handle(self, event: Event) -> tuple[Decision, ...]:
        """What is done now that this happened. An event of something that is no longer so changes nothing."""
        if isinstance(event, Played):
            self._played(event)
            return ()
        talk = self._talk()
        before = self.state.question
        match event:
            case EffectDone():
                effect_done(talk, event)
            case _ if self.state.handed_over:
                self._forget(event)
                return ()
            case CallerSaid():
                caller_said(talk, event.understood)
            case CallerKeyed():
                keyed(talk, event.turn, event.slot, event.keys)
            case ModelSaid():
                model_said(talk, event)
            case ReadDone():
                read_done(talk, event)
            case Judged():
                judged(talk, event)
            case WaitingFound():
                taking_back.found(talk, event)
            case TakenBack():
                taking_back.ended(talk, event)
            case Identified():
                identified(talk, event)
                if self.state.taking_back and self.state.question is None and not self.state.handed_over:
                    taking_back.look_up(talk, self.state.taking_back)
        advance(talk)
        if talk.out and (self.state.question is not before or isinstance(event, CallerSaid | CallerKeyed)):
            talk.expect()
        return talk.end()

    def trouble(self, *, give_up: bool) -> tuple[Decision, ...]:
        """Something of ours failed and the turn is lost: say so and ask again, or give up and fetch a person."""
        talk = self._talk()
        if self.state.handed_over:
            return ()
        talk.tell("talk.trouble")
        if give_up:
            talk.hand_over("service_failed")
        elif self.state.question is not None:
            talk.ask(self.state.question, prompt_of(talk, self.state.question))
        advance(talk)
        talk.expect()
        return talk.end()

    def legal(self) -> Legal:
        """What the caller may mean now."""
        state, question = self.state, self.state.question
        active = state.active
        open_slots = [slot for frame in reversed(state.frames) if frame.is_open for slot in self._needed(frame.goal)]
        others = [slot for goal in self.bundle.goals for slot in self._needed(goal)]
        offered = question.candidates if question is not None and question.candidates else state.offered
        return Legal(
            goals=tuple(self.bundle.goals),
            slots=tuple(dict.fromkeys((*open_slots, *others))),
            asked=_asked(question),
            offered=tuple(plain(candidate.record) or _as_fields(candidate.data.reveal()) for candidate in offered),
            rivals=question.goals if question is not None else (),
            active_goal=active.goal if active is not None else "",
            waiting=tuple(
                goal
                for one in state.done
                if one.state == "queued"
                for goal, spec in self.bundle.goals.items()
                if one.tool in spec.do
            ),
            filled=tuple(name for name, given in state.slots.items() if given.settled),
        )

    def _needed(self, goal: str) -> tuple[str, ...]:
        return needed(self._talk(), goal)

    def _played(self, event: Played) -> None:
        telling = self.state.tellings.get(event.speech)
        # That something was done is owed to the caller until it was heard to its end (Talk.owed).
        if telling is not None and (event.complete or not self._talk().is_outcome(telling)):
            del self.state.tellings[event.speech]
        question = self.state.question
        if question is not None and question.speech == event.speech:
            question.heard = event.complete

    def _forget(self, event: Event) -> None:
        """A person has the call: answers that still come only end what was under way."""
        if isinstance(event, ReadDone | Judged | WaitingFound | TakenBack):
            self.state.requests.pop(event.request, None)

    def _talk(self) -> Talk:
        return Talk(self.bundle, self.locale, self.state)


def _asked(question: Question | None) -> str:
    if question is None:
        return ""
    if question.kind in ("is_it", "confirm", "take_back"):
        return "yes_no"
    if question.kind == "which_goal":
        return "goal"
    if question.kind == "change":
        return "change"
    return question.slot


def _as_fields(data: object) -> dict[str, str | int | float | bool]:
    if isinstance(data, str | int | float | bool):
        return {"value": data}
    return dict(data) if isinstance(data, dict) else {}
