"""The text level: conversations one after the other against the real session, control layer, database and back end.

What is ours runs on a virtual clock that moves between turns; the database and the back end answer in real time. Each
conversation has its own customer, call, caller, recogniser and proposer, all drawn from one seed: the same seed plays
the same conversations.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.cli.evals.callers import Caller, RandomCaller, ScriptedCaller
from services.cli.evals.gates import EffectSeen, Judged, judge
from services.cli.evals.noise import CLEAN, Rates, Recogniser
from services.cli.evals.play import Conversation
from services.cli.evals.result import Played, Run
from services.cli.evals.runtime import Runtime
from services.cli.evals.said import claims
from services.cli.evals.session_agent import SessionAgent
from services.cli.evals.transcript import Transcript
from services.cli.evals.trends import Counted
from services.cli.evals.world import Stage
from services.orchestrator.bundles.evals import Customer, Expected, Fault, Scenario, Variety

# What a random fault may be, with how often it may be drawn. `stale` needs a read before it and is for scenarios.
MODES = ("latency", "error", "drop", "duplicate", "down")
LATENCIES_MS = (20, 80, 300)


@dataclass(frozen=True, slots=True)
class Plan:
    """One conversation to play."""

    name: str
    run: int
    seed: str
    customer: str
    locale: str
    scenario: Scenario | None = None
    faults: tuple[Fault, ...] = ()


def plans(
    stage: Stage, *, conversations: int, runs: int, seed: int, faults: bool, only: Sequence[str] = ()
) -> Iterator[Plan]:
    """Every scenario (of `only`, if there are any) `runs` times, those that need faults only with `faults`; then
    seeded-random callers."""
    for run in range(runs):
        for scenario in stage.bundle.scenarios():
            if (faults or not scenario.faults) and (not only or scenario.id in only):
                yield Plan(
                    scenario.id,
                    run,
                    f"{seed}/{run}/{scenario.id}",
                    scenario.customer,
                    scenario.locale,
                    scenario,
                    scenario.faults,
                )
    operations = sorted({stage.bundle.contracts[tool.contract].id for tool in stage.bundle.tools.values()})
    for number in range(conversations if stage.world.varieties else 0):
        name = f"random-{number:04}"
        chance = random.Random(f"{seed}/faults/{number}")
        drawn = tuple(_faults(chance, operations)) if faults else ()
        yield Plan(name, 0, f"{seed}/{number}", "", "", None, drawn)


def _faults(chance: random.Random, operations: Sequence[str]) -> Iterator[Fault]:
    """None to two, on any operation, for one or two requests, from some turn on."""
    for _ in range(chance.choice((0, 1, 1, 2))):
        yield Fault(
            mode=chance.choice(MODES),  # type: ignore[arg-type]  # one of them
            operation=chance.choice(("*", *operations)),
            count=chance.randrange(1, 3),
            ms=chance.choice(LATENCIES_MS),
            turn=chance.randrange(6),
        )


@dataclass(slots=True)
class TextLevel:
    """Plays plans on a stage and judges each."""

    stage: Stage
    runtime: Runtime
    rates: Rates = field(default_factory=Rates)
    # Of random callers; none: all of the world's.
    varieties: Sequence[Variety] = ()
    run: Run = field(default_factory=Run)

    async def play(self, plan: Plan) -> Played:
        """One conversation, its books and its verdict."""
        self.stage.numbers[0] += 1
        chance = random.Random(plan.seed)
        caller, customer, locale = self._caller(plan, chance)
        subject = f"e{self.stage.numbers[0]}-{customer}"
        number = f"+4479{self.stage.numbers[0]:08}"
        scenario = plan.scenario
        withheld = scenario is not None and scenario.withheld
        person = self.stage.world.customers[customer]
        await self.stage.faults.clear()
        await self.stage.enter(customer, subject, number, scenario.seed if scenario is not None else "")
        before = await self.stage.books.done(subject)
        transcript = Transcript(subject, locale)
        noisy = scenario is None or scenario.noisy
        rates = self.rates if noisy else CLEAN
        recogniser = Recogniser.of(self.stage.bundle, locale, random.Random(f"{plan.seed}/ears"), rates)
        agent = await self.runtime.agent(
            f"call-{self.stage.numbers[0]}",
            "" if withheld else number,
            locale,
            f"{plan.seed}/model",
            transcript,
            slips=scenario is None,
        )

        async def done() -> Counter[str]:
            return Counter(one.kind for one in (await self.stage.books.done(subject))[len(before) :])

        async def on_turn(turn: int) -> None:
            due = [fault for fault in plan.faults if fault.turn == turn]
            self.run.faults.update(fault.mode for fault in due)
            await self.stage.faults.set(due)

        conversation = Conversation(
            agent, caller, recogniser, transcript, done, self._claims(locale), self.runtime.wait_ms, on_turn
        )
        await conversation.play()
        if scenario is None:
            # The worst case: what was left open is settled once the back end is well again.
            await self.stage.faults.clear()
        await self.runtime.settle()
        seen = await self._seen(plan, transcript, caller, person, withheld=withheld, before=len(before))
        findings = judge(self.stage.bundle, self.stage.world, seen)
        expect = scenario.expect if scenario is not None else None
        expected: dict[str, Any] = {"wanted": [dict(row) for row in seen.wanted]}
        if expect is not None:
            expected |= expect.model_dump(exclude_defaults=True, mode="json")
        came = {"done": [one.to_json() for one in seen.done], "state": {k: str(v) for k, v in seen.state.items()}}
        played = Played(plan.name, plan.run, findings, transcript, expected, came)
        self.run.add(played)
        self.run.acts.update(one.kind for one in seen.done)
        self.run.trends.add(self._counted(plan, caller, transcript, seen, agent, ok=not findings.end_state))
        return played

    def _caller(self, plan: Plan, chance: random.Random) -> tuple[Caller, str, str]:
        world = self.stage.world
        if plan.scenario is not None:
            scenario = plan.scenario
            entries = {name: goal.entry[scenario.locale] for name, goal in self.stage.bundle.goals.items()}
            return ScriptedCaller(scenario, world.customers[scenario.customer], entries), plan.customer, plan.locale
        caller, customer = RandomCaller.drawn(
            chance,
            self.varieties or world.varieties,
            world.customers,
            frozenset(tool.confirm.prompt for tool in self.stage.bundle.tools.values() if tool.confirm is not None),
        )
        return caller, customer, caller.locale

    def _claims(self, locale: str) -> Callable[[str], bool]:
        phrases = [phrase for act in self.stage.world.acts.values() for phrase in act.claims.get(locale, ())]
        return lambda text: claims(text, phrases)

    async def _seen(
        self, plan: Plan, script: Transcript, caller: Caller, person: Customer, *, withheld: bool, before: int
    ) -> Judged:
        books, subject = self.stage.books, script.subject
        call = f"call-{self.stage.numbers[0]}"
        asked = await self.stage.pool.fetch("SELECT effect_id, turn FROM effects WHERE call_id = $1", call)
        turns: dict[str, int] = {row["effect_id"]: row["turn"] for row in asked}
        rows = await self.runtime.room.effects.of_call(call)
        reviews = await self.stage.pool.fetchval(
            "SELECT count(*) FROM reviews JOIN effects USING (effect_id) WHERE call_id = $1", call
        )
        return Judged(
            transcript=script,
            done=(await books.done(subject))[before:],
            state=await books.state(subject),
            forbidden=await books.forbidden(subject),
            known=frozenset(await books.known(subject)),
            records=frozenset(await books.records(subject)),
            effects=[EffectSeen(r.tool, r.state, turns[r.effect_id], r.wire_key, r.request) for r in rows],
            reviews=reviews,
            wanted=caller.wanted(),
            exact=plan.scenario is not None,
            levels=_levels(script, person, withheld=withheld),
            expect=plan.scenario.expect if plan.scenario is not None else Expected(),
        )

    def _counted(
        self,
        plan: Plan,
        caller: Caller,
        script: Transcript,
        seen: Judged,
        agent: SessionAgent,
        *,
        ok: bool,
    ) -> Counted:
        goals = plan.scenario.wants if plan.scenario is not None else tuple(w.variety.goal for w in _wishes(caller))
        handoff = any(self.stage.bundle.goals[goal].handoff is not None for goal in goals[:1])
        says = {self.stage.bundle.goals[goal].say for goal in goals} - {None}
        told = next((one.turn for one in script.agent() if one.prompt in says), None)
        success: bool | None = ok
        if plan.scenario is None:
            success = None if script.over.how == "hung_up" and told is None else told is not None
        return Counted(plan.name, script, success, agent.entities(), handoff, agent.hearing(), told)


def _wishes(caller: Caller) -> Sequence[Any]:
    return caller.wishes[:1] if isinstance(caller, RandomCaller) else ()


def _levels(script: Transcript, person: Customer, *, withheld: bool) -> Mapping[int, int]:
    """What the caller has shown, by the turn in which they did: their number, and their PIN if it was the right one."""
    levels = {0: 0 if withheld else person.number_level}
    for one in script.caller():
        if person.pin and one.keys == person.pin and not withheld:
            levels[one.turn] = person.pin_level
    return levels
