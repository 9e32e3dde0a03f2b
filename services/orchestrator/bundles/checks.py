"""What types cannot say: every name exists, every rule type-checks, every write is safe, every sentence can be said."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.bundles.checks_evals import check_evals
from services.orchestrator.bundles.checks_facts import check_facts
from services.orchestrator.bundles.checks_language import check_language
from services.orchestrator.bundles.checks_tools import check_tools
from services.orchestrator.bundles.load import Loaded, load, read_directory
from services.orchestrator.bundles.names import nearest
from services.orchestrator.bundles.problem import Problem

Check = Callable[[Loaded, Bundle], Iterable[Problem]]


def validate(files: Mapping[str, str]) -> tuple[Bundle | None, list[Problem]]:
    """The bundle when nothing is wrong with it; else everything that is, in the order of the files."""
    loaded = load(files)
    problems = list(loaded.problems)
    if loaded.bundle is not None:
        for check in (_check_agent, _check_goals, check_tools, check_facts, check_language, check_evals):
            problems += check(loaded, loaded.bundle)
    problems.sort()
    return (loaded.bundle if not problems else None), problems


def validate_directory(directory: Path) -> tuple[Bundle | None, list[Problem]]:
    """The same for a directory. Raises InvalidInputError when it is none."""
    return validate(read_directory(directory))


def _check_agent(loaded: Loaded, bundle: Bundle) -> Iterator[Problem]:
    agent, file = bundle.agent, "agent.yaml"
    if agent.default_locale not in agent.locales:
        place = loaded.place(file, "default_locale")
        yield Problem(
            place, "B020", f"default_locale {agent.default_locale!r} is not among locales.", "Add it to locales."
        )
    for index, name in enumerate(agent.evals):
        if name not in bundle.files:
            place = loaded.place(file, "evals", index)
            yield Problem(place, "B021", f"The eval file {name!r} is not there.", "Create it, or remove the line.")
    missing = [locale for locale in agent.locales if locale not in agent.escalation.explicit]
    for locale in missing:
        place = loaded.place(file, "escalation", "explicit")
        yield Problem(
            place, "B022", f"No words for asking for a person in {locale}.", f"Add escalation.explicit.{locale}."
        )
    yield from _check_signals(loaded, bundle)
    if "default" not in agent.escalation.routes:
        place = loaded.place(file, "escalation", "routes")
        yield Problem(place, "B023", "There is no default route to a person.", "Add escalation.routes.default.")


def _check_signals(loaded: Loaded, bundle: Bundle) -> Iterator[Problem]:
    """A signal nobody can say is none, and words that lead to nobody are a promise broken."""
    file, escalation = "agent.yaml", bundle.agent.escalation
    for index, name in enumerate(escalation.always):
        for locale in bundle.agent.locales:
            if name not in escalation.signals or not escalation.signals[name].phrases(locale):
                yield Problem(
                    loaded.place(file, "escalation", "always", index),
                    "B024",
                    f"The signal {name!r} has no words in {locale}.",
                    f"Add escalation.signals.{name}.{locale}.",
                )
    for name, signal in escalation.signals.items():
        if signal.route is not None and signal.route not in escalation.routes:
            yield Problem(
                loaded.place(file, "escalation", "signals", name, "route"),
                "B026",
                f"The signal {name!r} goes to an unknown route {signal.route!r}.",
                nearest(signal.route, escalation.routes),
            )
        if name not in escalation.always:
            yield Problem(
                loaded.place(file, "escalation", "signals", name),
                "B025",
                f"The words of {name!r} lead to nobody.",
                nearest(name, escalation.always) if escalation.always else "Name it in escalation.always.",
            )


def _check_goals(loaded: Loaded, bundle: Bundle) -> Iterator[Problem]:
    file = "goals.yaml"
    entries: dict[tuple[str, str], str] = {}
    for name, goal in bundle.goals.items():
        for index, slot in enumerate(goal.needs):
            if slot not in bundle.slots:
                place = loaded.place(file, name, "needs", index)
                yield Problem(
                    place, "B030", f"Goal {name!r} needs an unknown slot {slot!r}.", nearest(slot, bundle.slots)
                )
        for index, tool in enumerate(goal.do):
            if tool not in bundle.tools:
                place = loaded.place(file, name, "do", index)
                yield Problem(
                    place, "B031", f"Goal {name!r} does an unknown tool {tool!r}.", nearest(tool, bundle.tools)
                )
        for locale in bundle.agent.locales:
            if locale not in goal.entry:
                place = loaded.place(file, name, "entry")
                yield Problem(
                    place,
                    "B032",
                    f"Goal {name!r} cannot be reached in {locale}: it has no entry phrases.",
                    f"Add entry.{locale}.",
                )
        for locale, phrases in goal.entry.items():
            for phrase in phrases:
                other = entries.setdefault((locale, phrase.lower().strip()), name)
                if other != name:
                    place = loaded.place(file, name, "entry", locale)
                    yield Problem(
                        place,
                        "B033",
                        f"The phrase {phrase!r} belongs to goal {other!r} already; {name!r} cannot be reached by it.",
                        "Give each goal its own phrases.",
                    )
        if goal.handoff is not None and goal.handoff not in bundle.agent.escalation.routes:
            place = loaded.place(file, name, "handoff")
            yield Problem(
                place,
                "B034",
                f"There is no route {goal.handoff!r}.",
                nearest(goal.handoff, bundle.agent.escalation.routes),
            )
        if goal.done_when is not None and goal.done_when not in bundle.answered_facts():
            place = loaded.place(file, name, "done_when")
            yield Problem(
                place,
                "B035",
                f"done_when names {goal.done_when!r}, which no tool commits.",
                nearest(goal.done_when, bundle.answered_facts()),
            )
        elif goal.done_when is not None and goal.done_when.split(".")[0] not in goal.do:
            place = loaded.place(file, name, "done_when")
            yield Problem(
                place,
                "B036",
                f"Goal {name!r} is done by a tool that it never does.",
                "Name one of `do`, or add it there.",
            )
        if not goal.do and goal.handoff is None and goal.say is None:
            yield Problem(
                loaded.place(file, name), "B037", f"Goal {name!r} does nothing.", "Give it do, say or handoff."
            )
    used = {slot for goal in bundle.goals.values() for slot in goal.needs}
    for slot in bundle.slots:
        if slot not in used:
            place = loaded.place("slots.yaml", slot)
            yield Problem(
                place, "B038", f"No goal needs the slot {slot!r}.", "Name it in a goal's needs, or remove it."
            )
