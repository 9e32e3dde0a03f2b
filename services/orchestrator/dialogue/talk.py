"""What the dialogue puts out while it handles one event: sentences with their facts, the question, requests. Pure.

Facts are only those a sentence has places for: of slots that are settled, of answers of this call, of records offered.
"""

from collections.abc import Mapping

from services.common.personal import Personal
from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.bundles.model import Slot, Tool
from services.orchestrator.bundles.templates import Hole, holes
from services.orchestrator.control.model import Proposal, Scalar
from services.orchestrator.dialogue import arguments
from services.orchestrator.dialogue.model import (
    Decision,
    End,
    Expect,
    FindWaiting,
    HandOver,
    Identify,
    Judge,
    Perform,
    Read,
    Say,
    SlotData,
    TakeBack,
)
from services.orchestrator.dialogue.state import Candidate, DialogueState, Given, Question, Request, Telling

Facts = dict[str, Personal[Scalar]]
_PLACES = ("first", "second")
# How a slot's one value is said when it is named alone.
_FILTERS = {
    "date": "date",
    "digits": "digits",
    "phone": "digits",
    "iban": "spell",
    "postcode": "spell",
    "spelling": "spell",
}


class Talk:
    """Collects decisions over a state; every method that puts one out also notes it in the state."""

    def __init__(self, bundle: Bundle, locale: str, state: DialogueState) -> None:
        self.bundle = bundle
        self.locale = locale
        self.state = state
        self.out: list[Decision] = []
        self._said: list[Telling] = []

    # ---- sentences

    def tell(self, prompt: str, candidates: tuple[Candidate, ...] = (), slot: str = "") -> int:
        """Something the caller has to hear: kept until it was, and said again by whoever takes the call over."""
        speech, telling = self._say(prompt, *self._named(candidates, slot))
        self.state.tellings[speech] = telling
        return speech

    def tell_again(self, telling: Telling) -> None:
        """What was told and not heard, word for word."""
        speech = self._number()
        self.out.append(Say(speech, telling.prompt, telling.facts, telling.options))
        self._said.append(telling)
        self.state.tellings[speech] = telling

    def is_outcome(self, telling: Telling) -> bool:
        """It tells that something was done in a system of record."""
        needs = self.bundle.prompt(telling.prompt, self.locale).needs or ""
        return needs.endswith(".committed")

    def owed(self) -> bool:
        """Tell again what was done and not heard to its end; False when there is no such thing."""
        owed = {speech: one for speech, one in self.state.tellings.items() if self.is_outcome(one)}
        for speech, telling in owed.items():
            del self.state.tellings[speech]
            self.tell_again(telling)
        return bool(owed)

    def tell_goal(self, prompt: str, goal: str) -> None:
        """With a goal's title in it."""
        speech, telling = self._say(prompt, {}, (self.title(goal),))
        self.state.tellings[speech] = telling

    def free(self, text: str) -> None:
        """What the model would say; the claim guard stands between this and the caller."""
        speech = self._number()
        self.out.append(Say(speech, "", free=text))

    def again(self) -> None:
        """The last words of the agent once more. A question that was among them is said again, not opened again."""
        question = self.state.question
        for telling in self.state.last_said or [Telling("talk.open")]:
            speech = self._number()
            self.out.append(Say(speech, telling.prompt, telling.facts, telling.options))
            if question is not None:
                question.speech, question.heard = speech, None
        self._said = list(self.state.last_said)

    def ask(self, question: Question, prompt: str) -> None:
        """Open a question: it replaces the one before."""
        facts, options = self._named(question.candidates, question.slot)
        if question.goals:
            options = tuple(self.title(goal) for goal in question.goals[: len(_PLACES)])
        speech, _ = self._say(prompt, facts, options)
        question.speech, question.heard = speech, None
        self.state.question = question

    def expect(self) -> None:
        """How the answer to the open question may come; called once, last."""
        question = self.state.question
        if question is None:
            return
        slot = self.bundle.slots.get(question.slot)
        if question.kind in ("is_it", "confirm", "take_back"):
            self.out.append(Expect(question.slot, yes_no=True))
        elif question.kind == "identify":
            way = self.bundle.agent.identify.keys
            self.out.append(Expect("", keys=True, digits=way.digits if way is not None else None, masked=True))
        elif question.kind == "slot" and slot is not None:
            keys = "dtmf" in slot.source
            self.out.append(Expect(question.slot, keys=keys, digits=slot.length, masked=slot.masked))
        else:
            self.out.append(Expect(question.slot))

    def end(self) -> tuple[Decision, ...]:
        """All decisions, in order."""
        if self._said:
            self.state.last_said = self._said
        return tuple(self.out)

    # ---- requests

    def read(self, request: Request) -> None:
        """Ask a back end."""
        self.out.append(Read(self._request(request), request.tool, dict(request.args)))

    def judge(self, request: Request, proposal: Proposal) -> None:
        """Have a proposal judged."""
        request.proposal, request.digest = proposal, arguments.digest(proposal)
        self.out.append(Judge(self._request(request), proposal))

    def perform(self, request: Request, proposal: Proposal) -> None:
        """Do it."""
        request.proposal, request.digest = proposal, arguments.digest(proposal)
        self.out.append(Perform(self._request(request), proposal, request.confirmed))

    def repeat_request(self, number: int, request: Request) -> None:
        """The same again, by the worker that takes over: acts are done once by their business key, whoever asks."""
        if request.kind in ("resolve", "step"):
            self.out.append(Read(number, request.tool, dict(request.args)))
        elif request.proposal is not None and request.kind == "judge":
            self.out.append(Judge(number, request.proposal))
        elif request.kind == "waiting":
            tools = (name for name in self.bundle.goals[request.goal].do if self.bundle.tools[name].writes)
            self.out.append(FindWaiting(number, tuple(tools)))
        elif request.kind == "take_back":
            self.out.append(TakeBack(number, request.digest))
        elif request.proposal is not None:
            self.out.append(Perform(number, request.proposal, request.confirmed))

    def find_waiting(self, request: Request, tools: tuple[str, ...]) -> None:
        """Look up what waits for its back end."""
        self.out.append(FindWaiting(self._request(request), tools))

    def take_back(self, request: Request) -> None:
        """A waiting act is not to be done any more."""
        self.out.append(TakeBack(self._request(request), request.digest))

    def identify(self, level: int, prompt: str | None) -> None:
        """Say why, ask for keys, and let the control layer find out."""
        if prompt is not None:
            self._say(prompt, {}, ())
        self.ask(Question("identify", level=level), "talk.identify")
        self.out.append(Identify(level))

    def hand_over(self, reason: str, route: str = "default", prompt: str | None = None) -> None:
        """To a person, once. `prompt` None: the bundle's way of saying so."""
        if self.state.handed_over:
            return
        route = route if route in self.bundle.agent.escalation.routes else "default"
        self.state.handed_over, self.state.route = reason, route
        self.state.question = None
        self.tell(prompt or self._handover_prompt(route))
        self.out.append(HandOver(route, reason))

    def goodbye(self) -> None:
        """Say so, then hang up. The question stays open for who speaks over it."""
        self.tell("talk.goodbye")
        self.out.append(End())

    # ---- names and facts

    def title(self, goal: str) -> str:
        """How a goal is named; its first entry phrase where the bundle gives no title."""
        spec = self.bundle.goals[goal]
        return spec.title.get(self.locale) or next(iter(spec.entry.get(self.locale, (goal,))))

    def read_back_by(self, tool: Tool) -> set[str]:
        """The slots that a tool's read-back names."""
        if tool.confirm is None:
            return set()
        text = self.bundle.prompt(tool.confirm.prompt, self.locale).text
        names = (hole.name.split(".") for hole in holes(text) if isinstance(hole, Hole))
        return {parts[1] for parts in names if parts[0] == "slot"}

    def _handover_prompt(self, route: str) -> str:
        for goal in self.bundle.goals.values():
            if goal.handoff == route and not goal.do and goal.say:
                return goal.say
        return next((goal.say for goal in self.bundle.goals.values() if goal.handoff and goal.say), "talk.person")

    def _say(self, prompt: str, facts: Facts, options: tuple[str, ...]) -> tuple[int, Telling]:
        text = self.bundle.prompt(prompt, self.locale)
        telling = Telling(prompt, {**self._facts(text.text), **facts}, options)
        speech = self._number()
        self.out.append(Say(speech, prompt, telling.facts, options, protected=text.protected))
        self._said.append(telling)
        return speech, telling

    def _facts(self, text: str) -> Facts:
        found: Facts = {}
        for hole in holes(text):
            if isinstance(hole, Hole):
                root, _, rest = hole.name.partition(".")
                if root == "slot":
                    found.update(self._slot_facts(rest.split(".")[0]))
                elif root in self.state.answers:
                    fields = self.state.answers[root].fields
                    found.update({f"{root}.{name}": value for name, value in fields.items()})
        return found

    def _slot_facts(self, name: str) -> Facts:
        given, spec = self.state.slots.get(name), self.bundle.slots[name]
        if given is None or not given.settled or spec.masked:
            return {}
        return _flat(f"slot.{name}", given.data.reveal(), given)

    def _named(self, candidates: tuple[Candidate, ...], slot: str) -> tuple[Facts, tuple[str, ...]]:
        facts: Facts = {}
        options: list[str] = []
        for place, candidate in zip(_PLACES, candidates, strict=False):
            spec = self.bundle.slots[slot]
            root = f"option.{place}"
            if candidate.record is not None:
                facts.update({f"{root}.{name}": value for name, value in candidate.record.items()})
                options.append(_record_template(root, spec, candidate))
            else:
                data = candidate.data.reveal()
                facts.update(_flat(root, data if isinstance(data, Mapping) else {"value": data}, None))
                options.append(_value_template(root, spec, data))
        return facts, tuple(options)

    def _number(self) -> int:
        self.state.next_speech += 1
        return self.state.next_speech - 1

    def _request(self, request: Request) -> int:
        number = self.state.next_request
        self.state.next_request += 1
        self.state.requests[number] = request
        return number


def _flat(root: str, data: SlotData, given: Given | None) -> Facts:
    if given is not None and given.record is not None:
        return {f"{root}.{name}": value for name, value in given.record.items()}
    if isinstance(data, Mapping):
        return {f"{root}.{name}": Personal(value, "slot") for name, value in data.items()}
    return {root: Personal(data, "slot")}


def _record_template(root: str, spec: Slot, candidate: Candidate) -> str:
    """The fields that tell records apart, each said as what it is."""
    names = spec.resolve.match if spec.resolve is not None else tuple(candidate.record or {})
    return ", ".join(f"{{{root}.{name}{_field_filter(name)}}}" for name in names if name in (candidate.record or {}))


def _field_filter(name: str) -> str:
    if name.endswith("_minor"):
        return "|money"
    if name == "date" or name.endswith("_date"):
        return "|date"
    return "|digits" if name == "last4" else ""


def _value_template(root: str, spec: Slot, data: SlotData) -> str:
    if isinstance(data, Mapping):
        names = ("minor",) if spec.type == "money" else tuple(data)
        filters = {"minor": "|money"}
        return ", ".join(f"{{{root}.{name}{filters.get(name, _field_filter(name))}}}" for name in names)
    filter_ = _FILTERS.get(spec.type, "")
    return f"{{{root}.value|{filter_}}}" if filter_ else f"{{{root}.value}}"
