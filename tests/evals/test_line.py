"""A real call's events as the gates' transcript."""

from typing import Any

import pytest

from services.cli.evals.audio_level import handful
from services.cli.evals.line import Snapshot, levels, transcript_of
from services.cli.evals.listening import Listening
from services.cli.evals.transcript import Transcript
from services.orchestrator.bundles.bundle import Bundle
from tests.evals.test_listening import bundle, listening

__all__ = ["bundle", "listening"]


def spoken(turn: int, text: str, at_ns: int = 0, *, complete: bool = True) -> dict[str, Any]:
    return {"type": "AgentSpeechEnded", "turn": turn, "heard": text, "complete": complete, "at_ns": at_ns}


def heard(turn: int, text: str) -> list[dict[str, Any]]:
    final = {"type": "FinalTranscript", "utterance": turn, "text": text, "avg_logprob": -0.1}
    return [
        {**final, "provisional": True, "text": "something else"},
        {**final, "provisional": False},
        {"type": "TurnEnded", "turn": turn, "utterance": turn},
    ]


KEYS = {"type": "KeysCollected", "keys": "", "masked": True}
EVENTS = [
    spoken(0, "Example Bank, good day. How can I help you?"),
    *heard(1, "I want a refund"),
    spoken(1, "Please key in your code."),
    KEYS,
    spoken(2, "One moment, please.", complete=False),
    spoken(2, "Done. ten pounds will be refunded. The reference is R, E, one.", at_ns=900),
]


def made(listening: Listening, **more: Any) -> Transcript:
    books = [Snapshot(0, {}), Snapshot(950, {"refund": 1})]
    return transcript_of(EVENTS, listening, "s", "en-GB", **{"keyed": ["4321"], "books": books, **more})


def test_both_sides_stand_in_their_order_with_their_turns_and_sentences(listening: Listening) -> None:
    assert [(one.turn, one.who, one.prompt or one.keys or one.heard) for one in made(listening).spoken] == [
        (0, "agent", "p.greeting"),
        (1, "caller", "I want a refund"),
        (1, "agent", "talk.identify"),
        (2, "caller", "4321"),
        (2, "agent", "p.one_moment"),
        (2, "agent", "p.refunded"),
    ]


def test_a_sentence_has_the_books_as_they_were_when_it_was_heard(listening: Listening) -> None:
    agent = made(listening).agent()
    assert (agent[0].done, agent[-1].done) == ({}, {"refund": 1})
    assert [one.complete for one in agent] == [True, True, False, True]


def test_what_was_shown_follows_from_the_right_code_alone(listening: Listening) -> None:
    assert levels(made(listening), "4321", 1, 2) == {0: 1, 2: 2}
    assert levels(made(listening), "9999", 1, 2) == {0: 1}


def test_how_it_ended_is_the_callers_word_or_a_hand_over(listening: Listening) -> None:
    assert made(listening).over.how == "hung_up"
    assert made(listening, stuck="asked five times").over.reason == "asked five times"
    handed = [*EVENTS, {"type": "HandoverAsked", "route": "fraud", "reason": "explicit"}]
    over = transcript_of(handed, listening, "s", "en-GB", keyed=[], books=[]).over
    assert (over.how, over.route, over.reason, over.turns) == ("handed_over", "fraud", "explicit", 2)


@pytest.mark.parametrize("most", [4, 6])
def test_the_handful_has_each_wish_once_before_any_comes_twice(bundle: Bundle, most: int) -> None:
    chosen = handful(bundle.scenarios(), "en-GB", most)
    assert len(chosen) == most
    wishes = [one.wants for one in chosen]
    assert len(set(wishes)) == min(most, len({one.wants for one in handful(bundle.scenarios(), "en-GB", 99)}))
    assert all(one.locale == "en-GB" and not one.faults for one in chosen)
