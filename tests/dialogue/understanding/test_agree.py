"""Whatever the opinions say: nothing is started on one opinion, and nothing that is not legal is started or asked."""

from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.dialogue.model import Act, Legal
from services.orchestrator.dialogue.understanding import bands
from services.orchestrator.dialogue.understanding.agree import agree, among
from services.orchestrator.dialogue.understanding.examples import NO_GOAL, Likeness, Opinion

GOALS = ("block_card", "balance", "refund")
LIKENESS = st.builds(Likeness, st.floats(-0.3, 0.8), st.floats(0, 1))
OPINIONS = st.fixed_dictionaries(dict.fromkeys((*GOALS, NO_GOAL), LIKENESS)).flatmap(
    lambda of: st.builds(Opinion, st.just(of), st.booleans())
)
ACTS = st.lists(
    st.sampled_from([Act("start", goal) for goal in (*GOALS, "transfer")] + [Act("affirm"), Act("person")]), max_size=3
)
LEGALS = st.lists(st.sampled_from(GOALS), unique=True).map(lambda goals: Legal(tuple(goals), ()))


def opinion(**scores: float) -> Opinion:
    of = {goal: Likeness(scores.get(goal, 0.0), scores.get(goal, 0.0)) for goal in GOALS}
    return Opinion({**of, NO_GOAL: Likeness(0.0, scores.get("nothing", 0.1))}, by_meaning=True)


@given(st.none() | ACTS, OPINIONS, LEGALS, st.sampled_from(["en-GB", "de-DE"]), st.floats(0, 1))
def test_what_is_started_was_said_by_both_and_is_legal(proposed, opinion, legal, locale, heard):
    found = agree(proposed, opinion, legal, locale, heard)
    said = {act.name for act in proposed or [] if act.kind == "start"}
    for act in found.started:
        assert act.name in said & set(legal.goals)
        assert act.confidence >= bands.ACCEPT
    assert not (found.started and found.rivals)
    assert found.started == () or heard >= bands.LEAST_HEARD
    assert len(found.rivals) <= 2
    assert set(found.rivals) <= set(legal.goals)


@given(OPINIONS)
def test_of_two_goals_that_were_named_none_but_these_is_chosen(opinion):
    assert among(("block_card", "refund"), opinion) in (None, "block_card", "refund")


def test_two_goals_in_one_breath_are_both_started_when_both_opinions_see_both():
    both = [Act("start", "block_card"), Act("start", "refund")]
    of = {**opinion(block_card=0.6, refund=0.35).of}
    found = agree(both, Opinion(of, by_meaning=True), Legal(GOALS, ()), "en-GB")
    assert [act.name for act in found.started] == ["block_card", "refund"]
    alone = agree(both, opinion(block_card=0.6), Legal(GOALS, ()), "en-GB")
    assert [act.name for act in alone.started] == ["block_card"]
