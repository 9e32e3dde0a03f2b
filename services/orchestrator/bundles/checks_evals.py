"""Scenarios that name what is not there: a goal, slot, sentence, tool, customer, route or fact; each with its line."""

from collections.abc import Iterator

from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.bundles.evals import Scenario, World
from services.orchestrator.bundles.load import Loaded
from services.orchestrator.bundles.names import nearest
from services.orchestrator.bundles.problem import Problem
from services.orchestrator.bundles.standard import STANDARD_NAMES

# What a moment may wait for beside prompts and slots.
ASKED = ("yes_no", "goal", "open", "keys")


def check_evals(loaded: Loaded, bundle: Bundle) -> Iterator[Problem]:
    """Over all files under evals/."""
    world, where = None, ""
    for file, part in bundle.evals.items():
        if part.world is not None and world is not None:
            yield Problem(loaded.place(file, "world"), "B101", f"The world stands in {where} already.", "Keep one.")
        elif part.world is not None:
            world, where = part.world, file
    if world is not None:
        yield from _check_world(loaded, bundle, world, where)
    seen: dict[str, str] = {}
    for file, part in bundle.evals.items():
        if part.scenarios and file not in bundle.agent.evals:
            yield Problem(
                loaded.place(file),
                "B100",
                "agent.yaml does not name this eval file: it never runs.",
                "Add it to evals.",
            )
        for index, scenario in enumerate(part.scenarios):
            other = seen.setdefault(scenario.id, file)
            if other != file or [one.id for one in part.scenarios[:index]].count(scenario.id):
                yield Problem(
                    loaded.place(file, "scenarios", index, "id"),
                    "B102",
                    f"The scenario {scenario.id!r} stands twice.",
                    "Give each its own id.",
                )
            if world is None:
                yield Problem(
                    loaded.place(file, "scenarios", index),
                    "B103",
                    f"The scenario {scenario.id!r} has no world to happen in.",
                    "Add a file under evals/ with `world:` (back end, customers, books).",
                )
            yield from _check_scenario(loaded, bundle, world, file, index, scenario)


def _check_world(loaded: Loaded, bundle: Bundle, world: World, file: str) -> Iterator[Problem]:
    for name, customer in world.customers.items():
        if customer.locale not in bundle.agent.locales:
            place = loaded.place(file, "world", "customers", name, "locale")
            yield Problem(place, "B104", f"{customer.locale} is no locale of this bundle.", "Add it to agent.yaml.")
    for name in world.acts:
        if name not in bundle.tools:
            place = loaded.place(file, "world", "acts", name)
            yield Problem(place, "B105", f"There is no tool {name!r}.", nearest(name, bundle.tools))
    for name, tool in bundle.tools.items():
        if tool.writes and name not in world.acts:
            place = loaded.place(file, "world", "acts")
            yield Problem(
                place,
                "B106",
                f"The write {name!r} has no entry under acts: no gate would see what it does.",
                f"Add acts.{name}: its kind in the books, its evidence and the words that claim it.",
            )
    for index, variety in enumerate(world.varieties):
        at = ("world", "varieties", index)
        if variety.customer not in world.customers:
            place = loaded.place(file, *at, "customer")
            yield Problem(
                place, "B107", f"There is no customer {variety.customer!r}.", nearest(variety.customer, world.customers)
            )
        if variety.goal not in bundle.goals:
            place = loaded.place(file, *at, "goal")
            yield Problem(place, "B108", f"There is no goal {variety.goal!r}.", nearest(variety.goal, bundle.goals))
        for slot in variety.knows:
            if slot not in bundle.slots:
                place = loaded.place(file, *at, "knows", slot)
                yield Problem(place, "B109", f"There is no slot {slot!r}.", nearest(slot, bundle.slots))


def _check_scenario(
    loaded: Loaded, bundle: Bundle, world: World | None, file: str, index: int, scenario: Scenario
) -> Iterator[Problem]:
    at: tuple[str | int, ...] = ("scenarios", index)
    prompts = {*STANDARD_NAMES, *(prompt for by_id in bundle.prompts.values() for prompt in by_id)}
    if scenario.locale not in bundle.agent.locales:
        place = loaded.place(file, *at, "locale")
        yield Problem(place, "B104", f"{scenario.locale} is no locale of this bundle.", "Add it to agent.yaml.")
    if world is not None and scenario.customer not in world.customers:
        place = loaded.place(file, *at, "customer")
        yield Problem(
            place, "B107", f"There is no customer {scenario.customer!r}.", nearest(scenario.customer, world.customers)
        )
    for number, goal in enumerate(scenario.wants):
        if goal not in bundle.goals:
            place = loaded.place(file, *at, "wants", number)
            yield Problem(place, "B108", f"There is no goal {goal!r}.", nearest(goal, bundle.goals))
    for slot in scenario.knows:
        if slot not in bundle.slots:
            place = loaded.place(file, *at, "knows", slot)
            yield Problem(place, "B109", f"There is no slot {slot!r}.", nearest(slot, bundle.slots))
    for number, moment in enumerate(scenario.moments):
        known = {*prompts, *bundle.slots, *ASKED}
        if moment.on and moment.on not in known:
            place = loaded.place(file, *at, "moments", number, "on")
            yield Problem(place, "B110", f"Nothing asks for {moment.on!r}.", nearest(moment.on, known))
        if not (moment.say or moment.keys or moment.silent or moment.hang_up):
            place = loaded.place(file, *at, "moments", number)
            yield Problem(place, "B111", "The caller does nothing here.", "Give it say, keys, silent or hang_up.")
    expect = scenario.expect
    for key, names in (("says", expect.says), ("never_says", expect.never_says)):
        for number, name in enumerate(names):
            if name not in prompts:
                place = loaded.place(file, *at, "expect", key, number)
                yield Problem(place, "B112", f"There is no sentence {name!r}.", nearest(name, prompts))
    for number, name in enumerate(expect.never):
        if name not in bundle.tools:
            place = loaded.place(file, *at, "expect", "never", number)
            yield Problem(place, "B105", f"There is no tool {name!r}.", nearest(name, bundle.tools))
    if expect.handover is not None and expect.handover.route not in bundle.agent.escalation.routes:
        place = loaded.place(file, *at, "expect", "handover", "route")
        route = expect.handover.route
        yield Problem(place, "B034", f"There is no route {route!r}.", nearest(route, bundle.agent.escalation.routes))
