"""A call ends after its goodbye, unless somebody speaks over it."""

import asyncio
import types

import pytest

from services.orchestrator.desk import Desk
from tests.dialogue.core.scripted import BANK


class ScriptedAgent:
    """Named fake of the agent: keeps what is to be done after the lines, and whether the call was left."""

    def __init__(self):
        self.then, self.left = None, []

    def after_lines(self, then):
        self.then = then

    def leave(self, reason):
        self.left.append(reason)

    def thinking(self, on):
        pass


def desk_of(agent, tasks):
    ctx = types.SimpleNamespace(spawn=lambda work: tasks.append(asyncio.ensure_future(work)))
    return Desk(ctx, BANK, None, agent, lambda target, reason: None)


@pytest.mark.parametrize(
    ("meanwhile", "left"),
    [
        (lambda desk: desk.played(7, True), ["done"]),
        (lambda desk: desk.played(7, False), []),
        (lambda desk: desk.said(4, "one more thing", (), None), []),
    ],
    ids=["heard to its end", "cut", "spoken after"],
)
async def test_a_goodbye_ends_the_call_when_it_was_heard_and_nobody_speaks(meanwhile, left):
    agent, tasks = ScriptedAgent(), []
    desk = desk_of(agent, tasks)
    desk.end()
    meanwhile(desk)
    await asyncio.sleep(0)
    agent.then()
    assert agent.left == left
    # What was heard waits for a dialogue that this test has none of.
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
