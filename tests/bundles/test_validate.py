"""Bundles as they ship are whole; each way of breaking one is found, at its line, with what to do."""

from pathlib import Path

import pytest

from services.orchestrator.bundles.checks import validate, validate_directory
from services.orchestrator.bundles.load import read_directory

AGENTS = Path(__file__).parents[2] / "deploy" / "agents"
SHIPPED = sorted(path.parent.name for path in AGENTS.glob("*/agent.yaml"))


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_bundle_is_whole(name):
    bundle, problems = validate_directory(AGENTS / name)
    assert [str(problem) for problem in problems] == []
    assert bundle is not None
    assert bundle.agent.id == name


# (what, file, text, replacement, code, a piece of the message or remedy)
BROKEN = [
    ("an unknown key", "tools.yaml", "timeout_ms: 800", "timout_ms: 800", "B010", "Did you mean 'timeout_ms'?"),
    ("a missing key", "slots.yaml", "  ask: p.ask_amount\n", "", "B011", "lacks 'ask'"),
    ("a wrong type", "tools.yaml", "timeout_ms: 1500", "timeout_ms: soon", "B012", "got 'soon'"),
    ("a wrong effect", "tools.yaml", "effect: write_money", "effect: write_money_fast", "B012", "write_reversible"),
    ("a key twice", "goals.yaml", "balance:\n", "block_card:\n", "B002", "stands twice"),
    ("no YAML", "rules.yaml", "- id: identified\n", "- id: [identified\n", "B001", "not YAML"),
    ("a stray file", "openapi/bank.yaml", None, ("notes.yaml", "{}"), "B004", "No part of a bundle"),
    ("a default locale that is none", "agent.yaml", "default_locale: en-GB", "default_locale: fr-FR", "B020", "fr-FR"),
    (
        "too many hotwords",
        "agent.yaml",
        "[refund, balance, dispute]",
        "[a, b, c, d, e, f, g, h, i]",
        "B012",
        "at most 8",
    ),
    (
        "hotwords that no recogniser takes",
        "agent.yaml",
        "[refund, balance, dispute]",
        "[Überweisungsauftragsnr, Überweisungsauftragsdat, Überweisungsauftragsort, Überweisungsauftrag]",
        "B012",
        "at most 96 bytes together",
    ),
    (
        "a word that is said as nothing",
        "agent.yaml",
        "{MiniSaver: mini saver}",
        "{MiniSaver: '...'}",
        "B012",
        "lexicon",
    ),
    ("two words said as one", "agent.yaml", "{MiniSaver: mini saver}", "{Mini Saver: mini saver}", "B012", "lexicon"),
    ("an eval that is not there", "agent.yaml", "evals: [", "evals: [evals/none.yaml, ", "B021", "none.yaml"),
    (
        "no way to ask for a person",
        "agent.yaml",
        "    de-DE: [Mitarbeiter, Mensch, Berater, mit jemandem sprechen]\n",
        "",
        "B022",
        "escalation.explicit.de-DE",
    ),
    ("no default route", "agent.yaml", "    default: {target", "    standard: {target", "B023", "routes.default"),
    (
        "a signal that nobody can say",
        "agent.yaml",
        "      de-DE: [ist verstorben",
        "      en-US: [ist verstorben",
        "B024",
        "signals.bereavement.de-DE",
    ),
    (
        "words of no signal",
        "agent.yaml",
        "always: [fraud_in_progress, bereavement",
        "always: [fraud_in_progres, bereavement",
        "B025",
        "'fraud_in_progres'",
    ),
    (
        "a signal that goes nowhere",
        "agent.yaml",
        "      route: fraud\n",
        "      route: fruad\n",
        "B026",
        "'fruad'",
    ),
    ("a goal with an unknown slot", "goals.yaml", "needs: [card, reason]", "needs: [card, raeson]", "B030", "'reason'"),
    ("a goal with an unknown tool", "goals.yaml", "do: [block_card]", "do: [blok_card]", "B031", "'block_card'"),
    (
        "a goal that cannot be reached",
        "goals.yaml",
        "    de-DE: [Kontostand, wie viel Geld habe ich, wie ist mein Saldo]\n",
        "",
        "B032",
        "cannot be reached in de-DE",
    ),
    ("two goals with one phrase", "goals.yaml", "[change my address,", "[block my card,", "B033", "belongs to goal"),
    ("an unknown route", "goals.yaml", "handoff: default", "handoff: defualt", "B034", "'default'"),
    (
        "done by what no tool commits",
        "goals.yaml",
        "done_when: get_balance.ok",
        "done_when: get_balance.done",
        "B035",
        "no tool commits",
    ),
    (
        "done by another goal's tool",
        "goals.yaml",
        "done_when: get_balance.ok",
        "done_when: list_cards.ok",
        "B036",
        "never does",
    ),
    (
        "a goal that does nothing",
        "goals.yaml",
        "  priority: 300\n  handoff: default\n  say: p.handing_over\n",
        "  priority: 300\n",
        "B037",
        "does nothing",
    ),
    ("a slot nobody needs", "goals.yaml", "needs: [txn, amount]", "needs: [txn]", "B038", "'amount'"),
    ("a tool without a rule", "rules.yaml", "get_balance, block_card]", "get_balance]", "B040", "always be denied"),
    ("a tool nobody uses", "goals.yaml", "do: [change_address]", "do: [block_card]", "B041", "'change_address'"),
    (
        "a confirmation that does not compile",
        "tools.yaml",
        "slot.min_confidence < 0.97",
        "slot.confidence < 0.97",
        "B042",
        "undeclared reference",
    ),
    (
        "a write without idempotency",
        "tools.yaml",
        "  idempotency: {scope: [subject, card_id], window_s: 86400}\n",
        "",
        "B043",
        "no idempotency",
    ),
    ("a write without locks", "tools.yaml", '  locks: ["card:{card_id}"]\n', "", "B044", "locks nothing"),
    (
        "a write that cannot fail well",
        "tools.yaml",
        "  degrade: {say: p.block_queued, queue: true, handoff: fraud}\n",
        "",
        "B045",
        "back end is away",
    ),
    (
        "money without a key or a status",
        "openapi/bank.yaml",
        'operationId: createRefund\n      parameters: [{$ref: "#/components/parameters/Key"}]',
        "operationId: createRefund",
        "B046",
        None,
    ),
    (
        "a scope that is no argument",
        "tools.yaml",
        "scope: [subject, card_id]",
        "scope: [subject, card]",
        "B047",
        "'card_id'",
    ),
    ("a lock that names no argument", "tools.yaml", '"card:{card_id}"', '"card:{crad_id}"', "B048", "'card_id'"),
    (
        "money without asking",
        "tools.yaml",
        '  confirm: {when: "true", prompt: p.refund_readback}\n',
        "",
        "B049",
        "without asking",
    ),
    ("a rule id twice", "rules.yaml", "id: refund-cap", "id: refundable", "B050", "stands twice"),
    (
        "a rule for no tool",
        "rules.yaml",
        "tools: [create_refund]\n  require: list",
        "tools: [create_refnd]\n  require: list",
        "B051",
        "'create_refund'",
    ),
    (
        "a fact with a typo in a rule",
        "rules.yaml",
        "require: list_transactions.refundable",
        "require: list_transactions.refundble",
        "B052",
        "Did you mean 'list_transactions.refundable'?",
    ),
    (
        "a type error in a rule",
        "rules.yaml",
        "caller.auth_level >= 2",
        "caller.auth_level >= 'two'",
        "B052",
        "no matching overload",
    ),
    (
        "a rule that is no condition",
        "rules.yaml",
        "caller.auth_level >= 2",
        "caller.auth_level + 2",
        "B052",
        "expected a condition",
    ),
    (
        "a fact that comes from nowhere",
        "agent.yaml",
        "customer.vulnerable: {type: bool, tool: get_customer, field: vulnerable}",
        "customer.vulnerable: bool",
        "B053",
        "comes from nowhere",
    ),
    (
        "a secret in an address",
        "openapi/bank.yaml",
        '/pin-checks:\n    parameters: [{$ref: "#/components/parameters/Subject"}]\n    post:',
        '/pin-checks:\n    parameters: [{$ref: "#/components/parameters/Subject"}]\n    get:',
        "B054",
        "stand in logs",
    ),
    (
        "a secret that is not in the body",
        "agent.yaml",
        "argument: pin, ",
        "argument: subject, ",
        "B054",
        "does not take the secret in the body",
    ),
    (
        "a fact of an unknown tool",
        "agent.yaml",
        "tool: get_customer, field: vuln",
        "tool: customers, field: vuln",
        "B055",
        "'get_customer'",
    ),
    ("a fact that is not answered", "agent.yaml", "field: vulnerable", "field: vulnerabel", "B055", "'vulnerable'"),
    (
        "a fact the server cannot fetch alone",
        "agent.yaml",
        "tool: get_customer, field: refunded_30d_minor",
        "tool: list_transactions, field: amount_minor",
        "B056",
        "cannot fetch it",
    ),
    (
        "a number that finds nobody",
        "agent.yaml",
        "number: {tool: find_customer",
        "number: {tool: list_cards",
        "B057",
        "caller.ani",
    ),
    (
        "keys that no tool checks",
        "agent.yaml",
        "keys: {tool: check_pin",
        "keys: {tool: get_balance",
        "B057",
        "effect identify",
    ),
    ("a fact of another type", "agent.yaml", "{type: bool, tool", "{type: int, tool", "B058", "expected integer"),
    ("a contract that is none", "openapi/bank.yaml", "openapi: 3.1.0", "swagger: '2.0'", "B060", "not an OpenAPI 3"),
    (
        "an operation that is gone",
        "openapi/bank.yaml",
        "operationId: blockCard",
        "operationId: blockCards",
        "B061",
        "bank.yaml#blockCards",
    ),
    ("a read that writes", "tools.yaml", "effect: write_reversible", "effect: read", "B062", "is a POST"),
    (
        "an argument the contract lacks",
        "openapi/bank.yaml",
        "card_id: {type: string}\n                reason:",
        "card: {type: string}\n                reason:",
        "B063",
        "'card_id'",
    ),
    (
        "a field the contract does not answer",
        "openapi/bank.yaml",
        "properties: {available_minor: {type: integer}, currency",
        "properties: {available: {type: integer}, currency",
        "B064",
        "does not answer 'available_minor'",
    ),
    (
        "an argument without evidence",
        "tools.yaml",
        "reason: slot.reason",
        "reason: model.reason",
        "B065",
        "no evidence",
    ),
    ("a required argument that nobody gives", "tools.yaml", ", reason: slot.reason}", "}", "B066", "requires"),
    (
        "a slot that resolves by nothing",
        "slots.yaml",
        "{tool: list_cards,",
        "{tool: list_crads,",
        "B067",
        "'list_cards'",
    ),
    ("a missing locale", "prompts/de-DE.yaml", None, None, "B070", "prompts/de-DE.yaml is missing"),
    (
        "a sentence missing in one locale",
        "prompts/de-DE.yaml",
        'p.ask_amount: {text: "Welcher Betrag soll erstattet werden?", cache: true}\n',
        "",
        "B071",
        "no text in de-DE",
    ),
    ("a sentence that is nowhere", "goals.yaml", "say: p.balance", "say: p.ballance", "B072", "'p.balance'"),
    (
        "a sentence nobody says",
        "prompts/en-GB.yaml",
        "p.one_moment:",
        "p.extra: Hello.\np.one_moment:",
        "B073",
        "'p.extra'",
    ),
    ("a locale of nobody", "prompts/en-GB.yaml", None, ("prompts/fr-FR.yaml", "{}"), "B074", "fr-FR"),
    (
        "a need that no tool commits",
        "prompts/en-GB.yaml",
        "needs: block_card.committed",
        "needs: block_card.done",
        "B080",
        "no tool commits",
    ),
    (
        "a stray brace",
        "prompts/en-GB.yaml",
        "How much should be refunded?",
        "How much {should be refunded?",
        "B081",
        "stray",
    ),
    ("an unknown filter", "prompts/en-GB.yaml", "{slot.amount|money}", "{slot.amount|cash}", "B081", "unknown filter"),
    (
        "an unknown slot in a sentence",
        "prompts/en-GB.yaml",
        "reported {slot.reason}",
        "reported {slot.cause}",
        "B082",
        "cause",
    ),
    (
        "a masked slot in a sentence",
        "slots.yaml",
        "reason:\n  type: enum",
        "reason:\n  masked: true\n  type: enum",
        "B083",
        "masked",
    ),
    (
        "a fact that no tool commits in a sentence",
        "prompts/en-GB.yaml",
        "{get_balance.available_minor|money}",
        "{get_balance.overdraft|money}",
        "B084",
        "no tool commits",
    ),
    (
        "a success told before it happened",
        "prompts/en-GB.yaml",
        "  needs: create_refund.committed\n",
        "",
        "B085",
        "needs: create_refund.committed",
    ),
    (
        "an enum without values",
        "slots.yaml",
        "type: text\n  ask: p.ask_street",
        "type: enum\n  ask: p.ask_street",
        "B090",
        "no values",
    ),
    (
        "a reference to nothing",
        "slots.yaml",
        "  resolve: {tool: list_cards, match: [last4, kind]}\n",
        "",
        "B091",
        "no tool",
    ),
    ("bands in the wrong order", "slots.yaml", "accept: 0.75", "accept: 0.4", "B092", "below accept"),
    ("an enum word missing in a locale", "slots.yaml", ", de-DE: [gestohlen, geklaut]", "", "B093", "stolen"),
]


@pytest.mark.parametrize(("what", "file", "text", "new", "code", "piece"), BROKEN, ids=[row[0] for row in BROKEN])
def test_a_broken_bundle_is_refused_at_the_line_of_the_fault(what, file, text, new, code, piece):
    files = read_directory(AGENTS / "bank-retail")
    if isinstance(new, tuple):
        files[new[0]] = new[1]
        file = new[0]
    elif new is None:
        del files[file]
        file = "agent.yaml"
    else:
        assert text in files[file], "the example changed: mend this test"
        files[file] = files[file].replace(text, new, 1)
    if code == "B046":
        files["tools.yaml"] = files["tools.yaml"].replace("  status: openapi/bank.yaml#getRefund\n", "")
        piece = "no status query"
    bundle, problems = validate(files)
    assert bundle is None
    found = [problem for problem in problems if problem.code == code]
    assert found, [str(problem) for problem in problems]
    assert any(piece in str(problem) for problem in found), [str(problem) for problem in found]
    for problem in found:
        assert problem.place.line >= 1
        assert problem.place.file in files or code in ("B003", "B071")


def test_the_place_of_a_fault_is_its_own_line():
    files = read_directory(AGENTS / "bank-retail")
    lines = files["rules.yaml"].splitlines()
    at = next(i for i, line in enumerate(lines) if "caller.auth_level >= 2" in line)
    files["rules.yaml"] = files["rules.yaml"].replace("caller.auth_level >= 2", "caller.auth_levl >= 2")
    _, problems = validate(files)
    assert [(p.place.file, p.place.line) for p in problems] == [("rules.yaml", at + 1)]


def test_all_faults_are_found_at_once_and_in_the_order_of_the_files():
    files = read_directory(AGENTS / "bank-retail")
    files["tools.yaml"] = files["tools.yaml"].replace("timeout_ms: 800", "timout_ms: 800", 2)
    files["slots.yaml"] = files["slots.yaml"].replace("type: money", "type: monny")
    _, problems = validate(files)
    assert [p.code for p in problems] == ["B012", "B010", "B010"]


@pytest.mark.parametrize(
    "text", ["a: &a [*a]", "{" * 200, "- " * 5000, "!!python/object:os.system x", "\x00", "a: 1\n" * 60_000]
)
def test_hostile_yaml_is_a_problem_and_never_an_exception(text):
    files = read_directory(AGENTS / "clinic")
    files["goals.yaml"] = text
    bundle, problems = validate(files)
    assert bundle is None
    assert problems


def test_the_digest_depends_on_every_byte_and_on_nothing_else():
    first, _ = validate_directory(AGENTS / "clinic")
    files = read_directory(AGENTS / "clinic")
    second, _ = validate(dict(reversed(files.items())))
    assert first.digest == second.digest
    files["goals.yaml"] += "\n"
    third, _ = validate(files)
    assert third.digest != first.digest
