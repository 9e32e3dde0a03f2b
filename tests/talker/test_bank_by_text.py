"""The demo's caller against the real dialogue, control layer, database and bank, by words: a scripted model, and ears
that mishear. What goes wrong in the demo's call beside the models goes wrong here, in seconds.
"""

import itertools
import random
import tempfile
from pathlib import Path

import pytest

from services.cli.bank_proof import DEMO, Posting
from services.cli.bank_stack import DIRECTORY
from services.cli.evals.noise import CLEAN, Rates, Recogniser
from services.cli.evals.play import Reaction
from services.cli.evals.proposer import NO_SLIPS, scripted
from services.cli.evals.runtime import Runtime, runtime
from services.cli.evals.transcript import Spoken, Transcript
from services.cli.evals.world import Stage, stage
from services.cli.talker.acts import Act, HangUp, Key, Listen, Say
from services.cli.talker.bank import bank_caller
from services.orchestrator.bundles.checks import validate_directory

CUSTOMER, MOST_TURNS = "york", 45
# How sure the recogniser says it is: sure of all, of little, and hearing wrong things.
EARS = [(0.9, CLEAN), (0.6, CLEAN), (0.75, Rates()), (0.6, Rates())]
# How the caller hears the agent.
CALLERS_EARS = [CLEAN, Rates(swap=0.04, lose=0.04)]


async def call(world: Stage, room: Runtime, nth: int, sure: float, rates: Rates, caller_rates: Rates) -> Act:
    number, chance = f"+44163296{nth:04}", random.Random(nth)
    await world.enter(CUSTOMER, f"c-{nth}", number)
    transcript = Transcript(f"c-{nth}", "en-GB")
    agent = await room.agent(f"call-{nth}", number, "en-GB", f"seed {nth}", transcript, slips=False)
    ears = Recogniser.of(world.bundle, "en-GB", chance, rates)
    callers_ears = Recogniser.of(world.bundle, "en-GB", random.Random(nth + 100), caller_rates)
    caller, reaction = bank_caller(), await agent.begin()
    act: Act = Listen()
    for turn in range(1, MOST_TURNS):
        for sentence in reaction.sentences:
            await agent.played(sentence.speech, True)
        act = caller.next(" ".join(callers_ears.hear(sentence.text).text for sentence in reaction.sentences))
        if isinstance(act, HangUp) or (isinstance(act, Say) and act.last):
            break
        reaction = Reaction()
        if isinstance(act, Key):
            reaction = await agent.keyed(turn, world.world.customers[CUSTOMER].pin)
        elif isinstance(act, Say):
            heard = ears.hear(act.text)
            transcript.spoken.append(Spoken(turn, "caller", act.text, heard=heard.text, confidence=sure))
            reaction = await agent.said(turn, type(heard)(heard.text, min(sure, heard.confidence)))
    await agent.hang_up()
    return act


@pytest.mark.timeout(90)
async def test_the_demos_caller_gets_its_business_done_also_when_it_is_misheard_and_mishears() -> None:
    bundle, _ = validate_directory(DIRECTORY)
    assert bundle is not None
    with tempfile.TemporaryDirectory(prefix="tl") as folder:
        async with stage(bundle, DIRECTORY, Path(folder)) as world, runtime(world, scripted(bundle, NO_SLIPS)) as room:
            for nth, ((sure, rates), caller_rates) in enumerate(itertools.product(EARS, CALLERS_EARS)):
                last = await call(world, room, nth, sure, rates, caller_rates)
                assert last == Say("No, thank you. Goodbye.", last=True), nth
                done = [Posting(one.kind, one.object, one.amount_minor) for one in await world.books.done(f"c-{nth}")]
                assert done == list(DEMO.postings), nth
