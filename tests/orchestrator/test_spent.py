"""What speculation costs is counted, told at the end of the call, and bounded."""

from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator import events as ev
from services.orchestrator.spent import MAX_PER_TURN, SpeculationAccount
from services.orchestrator.turns import decisions as do
from tests.orchestrator.lab import Lab

SHORT = {"greeting": "Hello.", "apology_retry": "One moment.", "apology_goodbye": "Sorry, goodbye."}


async def test_a_call_tells_at_its_end_what_speculation_has_cost() -> None:
    async with Lab(agent=SHORT) as lab:
        call = lab.call()
        await call.until(ev.AgentSpeechEnded)
        call.decide(do.Speculate(1, "I want to go"))
        making = call.call.conductor.agent._maker._gate._held
        assert making is not None
        await lab.until(lambda: making[1].reply.complete)
        call.decide(do.DropSpeculation())
        call.decide(do.Speculate(1, "I want to go home"))
        now_ns = lab.clock.now_ns()
        call.decide(do.EndTurn(1, "I want to go home.", now_ns, now_ns, "complete"))
        await call.until(ev.AgentSpeechEnded, 2)
        call.leg.bye()
        await call.until(ev.CallEnded)
        [spent] = call.events(ev.SpeculationSpent)
        assert (spent.begun, spent.committed, spent.dropped) == (2, 1, 1)
        assert spent.wasted_tokens == 4
        assert spent.wasted_speech_ms > 500


async def test_one_turn_is_bet_on_only_so_often() -> None:
    async with Lab(agent=SHORT) as lab:
        call = lab.call()
        await call.until(ev.AgentSpeechEnded)
        for words in range(MAX_PER_TURN + 2):
            call.decide(do.Speculate(1, "go " * (words + 1)))
        assert len(lab.llm.prompts) <= MAX_PER_TURN
        now_ns = lab.clock.now_ns()
        call.decide(do.EndTurn(1, "go on", now_ns, now_ns, "complete"))
        await call.until(ev.AgentSpeechEnded, 2)
        call.decide(do.Speculate(2, "and the next turn"))
        call.leg.bye()
        await call.until(ev.CallEnded)
        [spent] = call.events(ev.SpeculationSpent)
        assert spent.begun == MAX_PER_TURN + 1
        assert spent.begun == spent.committed + spent.dropped


@given(st.lists(st.sampled_from(["begin", "use", "void", "turn"]), max_size=50))
def test_no_order_of_events_makes_more_bets_than_allowed(steps: list[str]) -> None:
    account, this_turn, held = SpeculationAccount(), 0, False
    for step in steps:
        if step == "begin" and not held and account.may_begin():
            account.began()
            this_turn, held = this_turn + 1, True
        elif step == "use" and held:
            account.used()
            held = False
        elif step == "void" and held:
            account.void(3, 100)
            held = False
        elif step == "turn":
            account.turn_over()
            this_turn = 0
        assert this_turn <= MAX_PER_TURN
        assert account.begun == account.committed + account.dropped + held
    assert account.wasted_tokens == 3 * account.dropped
