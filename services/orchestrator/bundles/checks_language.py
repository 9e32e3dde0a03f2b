"""Sentences: there in every locale, naming only what exists and what is committed by the time they are said."""

from collections.abc import Iterator

from services.orchestrator.bundles.bundle import Bundle
from services.orchestrator.bundles.load import Loaded
from services.orchestrator.bundles.model import Prompt
from services.orchestrator.bundles.names import nearest
from services.orchestrator.bundles.problem import Place, Problem
from services.orchestrator.bundles.standard import STANDARD_NAMES
from services.orchestrator.bundles.templates import TemplateFault, holes


def check_language(loaded: Loaded, bundle: Bundle) -> Iterator[Problem]:
    """Prompts, their templates, enum words and the lexicon."""
    used = dict(_used(loaded, bundle))
    for locale in bundle.agent.locales:
        file = f"prompts/{locale}.yaml"
        if locale not in bundle.prompts:
            place = loaded.place("agent.yaml", "locales", locale)
            yield Problem(place, "B070", f"{file} is missing: {locale} is declared.", "Create it, or drop the locale.")
            continue
        known = bundle.prompts[locale]
        for prompt_id, place in used.items():
            if prompt_id not in known:
                if any(prompt_id in prompts for prompts in bundle.prompts.values()):
                    yield Problem(Place(file), "B071", f"{prompt_id!r} has no text in {locale}.", f"Add it to {file}.")
                else:
                    yield Problem(place, "B072", f"There is no prompt {prompt_id!r}.", nearest(prompt_id, known))
        for prompt_id, prompt in known.items():
            if prompt_id not in used and prompt_id not in STANDARD_NAMES:
                yield Problem(
                    loaded.place(file, prompt_id), "B073", f"Nothing says {prompt_id!r}.", "Use it, or remove it."
                )
            yield from _template(loaded, bundle, file, prompt_id, prompt)
    for locale in bundle.prompts:
        if locale not in bundle.agent.locales:
            yield Problem(
                Place(f"prompts/{locale}.yaml"),
                "B074",
                f"{locale} is no locale of this agent.",
                "Add it to agent.yaml.",
            )
    yield from _slot_words(loaded, bundle)


def _used(loaded: Loaded, bundle: Bundle) -> Iterator[tuple[str, Place]]:
    """Every prompt that something says, and where that is written."""
    agent = bundle.agent
    for key in ("system", "greeting", "disclosure"):
        if (value := getattr(agent, key)) is not None:
            yield value, loaded.place("agent.yaml", key)
    for name, slot in bundle.slots.items():
        yield slot.ask, loaded.place("slots.yaml", name, "ask")
        if slot.clarify_ask is not None:
            yield slot.clarify_ask, loaded.place("slots.yaml", name, "clarify_ask")
    for name, goal in bundle.goals.items():
        if goal.say is not None:
            yield goal.say, loaded.place("goals.yaml", name, "say")
    for index, rule in enumerate(bundle.rules):
        if rule.say is not None:
            yield rule.say, loaded.place("rules.yaml", index, "say")
    for name, tool in bundle.tools.items():
        if tool.confirm is not None:
            yield tool.confirm.prompt, loaded.place("tools.yaml", name, "confirm", "prompt")
        if tool.degrade is not None:
            yield tool.degrade.say, loaded.place("tools.yaml", name, "degrade", "say")
        if tool.filler is not None:
            yield tool.filler, loaded.place("tools.yaml", name, "filler")


def _template(loaded: Loaded, bundle: Bundle, file: str, prompt_id: str, prompt: Prompt) -> Iterator[Problem]:
    place = loaded.place(file, prompt_id)
    committed = bundle.answered_facts()
    if prompt.needs is not None and prompt.needs not in committed:
        yield Problem(
            place,
            "B080",
            f"{prompt_id!r} needs {prompt.needs!r}, which no tool commits.",
            nearest(prompt.needs, committed),
        )
    for hole in holes(prompt.text):
        if isinstance(hole, TemplateFault):
            yield Problem(place, "B081", f"{prompt_id!r}: {hole.message}.", "Write places as {name} or {name|filter}.")
            continue
        yield from _hole(bundle, place, prompt_id, prompt, hole.name)


def _hole(bundle: Bundle, place: Place, prompt_id: str, prompt: Prompt, name: str) -> Iterator[Problem]:
    root, _, field = name.partition(".")
    if root == "option" and prompt_id in STANDARD_NAMES:
        return
    if root == "slot":
        slot = bundle.slots.get(field.split(".")[0])
        if slot is None:
            yield Problem(
                place, "B082", f"{prompt_id!r} names an unknown slot {field!r}.", nearest(field, bundle.slots)
            )
        elif slot.masked:
            yield Problem(
                place, "B083", f"{prompt_id!r} would say the masked slot {field!r}.", "A masked value is never spoken."
            )
        return
    tool = bundle.tools.get(root)
    if tool is None or field not in tool.says:
        told = [f"{other}.{said}" for other, made in bundle.tools.items() for said in made.says]
        yield Problem(place, "B084", f"{prompt_id!r} names {name!r}, which no tool commits.", nearest(name, told))
        return
    fulfilled = f"{root}.committed" if tool.writes else f"{root}.ok"
    if tool.writes and prompt.needs != fulfilled:
        yield Problem(
            place,
            "B085",
            f"{prompt_id!r} tells of {root!r} without needing that it happened.",
            f"Add needs: {fulfilled}.",
        )


def _slot_words(loaded: Loaded, bundle: Bundle) -> Iterator[Problem]:
    for name, slot in bundle.slots.items():
        place = loaded.place("slots.yaml", name)
        if slot.type == "enum" and not slot.values:
            yield Problem(place, "B090", f"The enum slot {name!r} has no values.", "Add values.")
        if slot.type == "ref" and slot.resolve is None:
            yield Problem(place, "B091", f"The slot {name!r} refers to a record of no tool.", "Add resolve.")
        if slot.clarify >= slot.accept:
            yield Problem(
                place,
                "B092",
                f"Slot {name!r}: clarify must be below accept.",
                f"clarify {slot.clarify}, accept {slot.accept}.",
            )
        for value, words in slot.values.items():
            for locale in bundle.agent.locales:
                if locale not in words:
                    where = loaded.place("slots.yaml", name, "values", value)
                    yield Problem(
                        where, "B093", f"{name}.{value} has no words in {locale}.", f"Add values.{value}.{locale}."
                    )
