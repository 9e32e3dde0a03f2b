"""Scenarios are checked as the rest of a bundle is: each fault with its line, its code and what to do."""

from pathlib import Path

import pytest

from services.orchestrator.bundles.checks import validate, validate_directory
from services.orchestrator.bundles.load import read_directory
from services.orchestrator.bundles.schema import schemas

AGENTS = Path(__file__).parents[2] / "deploy" / "agents"
FILES = read_directory(AGENTS / "bank-retail")
CARDS, WORLD = "evals/cards.yaml", "evals/world.yaml"
LAME = "- id: x-y\n  about: a\n  locale: en-GB\n  customer: york\n- id: balance-de"
SECOND_WORLD = "world: {back_end: b, schema: s, seed: {}, customers: {}, acts: {}, books: {done: x}}\nscenarios:\n"

# (what, file, text, replacement, code, a piece of the message or remedy)
BROKEN = [
    ("an unknown key", CARDS, "  opens: what is my balance", "  opened: what", "B010", "'opens'"),
    ("no expectation", CARDS, "- id: balance-de", LAME, "B011", "lacks 'expect'"),
    ("a fault that does not exist", "evals/money.yaml", "{mode: drop,", "{mode: dorp,", "B012", "'dorp'"),
    ("a file that never runs", "agent.yaml", "evals/address.yaml]", "]", "B100", "never runs"),
    ("two worlds", CARDS, "scenarios:\n", SECOND_WORLD, "B101", "already"),
    ("an id twice", CARDS, "id: balance-de", "id: balance-en", "B102", "stands twice"),
    ("no world", WORLD, None, None, "B103", "no world"),
    ("an unknown locale", CARDS, "locale: de-DE", "locale: fr-FR", "B104", "fr-FR"),
    (
        "an unknown tool",
        CARDS,
        "never: [create_refund, change_address]",
        "never: [create_refnud]",
        "B105",
        "'create_refund'",
    ),
    (
        "a write that no gate sees",
        WORLD,
        "    change_address:\n      kind",
        "    get_balance:\n      kind",
        "B106",
        "no gate would see",
    ),
    ("an unknown customer", CARDS, "customer: york", "customer: yrok", "B107", "'york'"),
    ("an unknown goal", CARDS, "wants: [balance]", "wants: [balanec]", "B108", "'balance'"),
    ("an unknown slot", CARDS, "knows: {card:", "knows: {crad:", "B109", "'card'"),
    ("a moment that never comes", CARDS, "moments: [{on: card,", "moments: [{on: crad,", "B110", "'card'"),
    (
        "a caller who does nothing",
        CARDS,
        'moments: [{on: card, keys: "9023"}]',
        "moments: [{on: card}]",
        "B111",
        "does nothing",
    ),
    ("an unknown sentence", CARDS, "says: [p.balance]", "says: [p.balanec]", "B112", "'p.balance'"),
    ("an unknown route", CARDS, "route: default", "route: defualt", "B034", "'default'"),
]


@pytest.mark.parametrize(("what", "file", "text", "replacement", "code", "piece"), BROKEN, ids=[b[0] for b in BROKEN])
def test_a_broken_eval_is_found_at_its_line(what, file, text, replacement, code, piece):
    files = dict(FILES)
    if text is None:
        del files[file]
    else:
        assert text in files[file]
        files[file] = files[file].replace(text, replacement, 1)
    bundle, problems = validate(files)
    assert bundle is None
    found = [problem for problem in problems if problem.code == code]
    assert found, [str(problem) for problem in problems]
    assert any(piece in f"{problem.message} {problem.remedy}" for problem in found)
    if code not in ("B100", "B103"):
        assert any(problem.place.line > 1 for problem in found)


@pytest.mark.parametrize(("name", "at_least"), [("bank-retail", 20), ("clinic", 6)])
def test_shipped_agents_come_with_scenarios_in_all_their_locales(name, at_least):
    bundle, problems = validate_directory(AGENTS / name)
    assert not problems
    assert len(bundle.scenarios()) >= at_least
    assert {scenario.locale for scenario in bundle.scenarios()} == set(bundle.agent.locales)
    assert (AGENTS / name / bundle.world().back_end).is_file()


def test_editors_get_a_schema_of_eval_files():
    document = schemas()["evals.schema.json"]
    assert set(document["properties"]) == {"world", "scenarios"}
