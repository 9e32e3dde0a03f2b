"""What the call does with the turn-taker's finer decisions: keys, fillers, protected text, doubts; by locale."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.common.personal import Personal
from services.common.settings import load_settings
from services.orchestrator import events as ev
from services.orchestrator.media.playout import PlayoutBuffer, SpokenWord, Utterance
from services.orchestrator.turns import decisions as do
from services.orchestrator.turns.expectation import Expectation, KeypadRule
from tests.orchestrator.lab import CallOnBench, Lab

SHORT = {"greeting": "Hello.", "apology_retry": "One moment.", "apology_goodbye": "Sorry, goodbye."}
CARD = "4929123456781234"


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    async with Lab(agent=SHORT) as running:
        yield running


async def greeted(lab: Lab) -> CallOnBench:
    call = lab.call()
    await call.until(ev.AgentSpeechEnded)
    return call


def said(call: CallOnBench) -> list[tuple[str, str]]:
    """(kind, heard) of all that was said to an end or cut."""
    kinds = [event.kind for event in call.events(ev.ReplyStarted)]
    return list(zip(kinds, [event.heard.reveal() for event in call.events(ev.AgentSpeechEnded)], strict=False))


async def test_legal_text_is_finished_then_the_callers_words_are_answered() -> None:
    async with Lab(agent={**SHORT, "disclosure": "This call is recorded, and kept for ten days."}) as lab:
        call = lab.call()
        await call.until(ev.AgentSpeechStarted)
        call.decide(do.StopPlayout(1, lab.clock.now_ns(), "speech"))
        call.decide(do.EndTurn(1, "I have a question", lab.clock.now_ns(), lab.clock.now_ns(), "complete"))
        await call.until(ev.AgentSpeechEnded, 2)
        # The greeting asks what the caller has said by now.
        heard = [event.heard.reveal() for event in call.events(ev.AgentSpeechEnded)]
        assert heard == ["This call is recorded, and kept for ten days.", "Sure, I can help."]
        assert call.events(ev.BargeIn) == []
        # Legal text is no part of the conversation the model continues.
        assert lab.llm.prompts[-1][1:] == ["user: I have a question"]


async def test_what_the_caller_keyed_is_answered_as_if_it_had_been_said(lab: Lab) -> None:
    call = await greeted(lab)
    call.decide(do.KeysEntered(Personal("471", "dtmf"), masked=False, reason="terminator"))
    await call.until(ev.AgentSpeechEnded, 2)
    assert lab.llm.prompts[-1][1:] == ["assistant: Hello.", "user: I pressed 4 7 1 on my telephone."]
    assert (await call.until(ev.KeysCollected)).keys.reveal() == "471"


async def test_keys_of_a_secret_reach_the_tool_that_asked_and_leave_no_trace(lab: Lab) -> None:
    call = await greeted(lab)
    got: list[Any] = []
    question = Expectation("digits", 16, KeypadRule(max_keys=16, masked=True))
    call.call.conductor.questions.collect(question, got.append)
    for digit in CARD:
        call.leg.sink.on_dtmf(Personal(digit, "dtmf"), 80)
    # The sixteenth completes them. The terminator that comes after the last digit is as secret.
    call.leg.sink.on_dtmf(Personal("#", "dtmf"), 80)
    call.leg.speak(600)
    await call.until(ev.AgentSpeechEnded, 2)
    assert [entered.keys.reveal() for entered in got] == [CARD]
    told = [ev.to_json(event, lambda value: value.reveal()) for event in call.handle.events.snapshot()]
    pressed = [event for event in told if event["type"] == "DtmfReceived"]
    assert [(event["digit"], event["masked"]) for event in pressed] == [("", True)] * 17
    assert [event["keys"] for event in told if event["type"] == "KeysCollected"] == [""]
    written = str([event for event in told if event["type"] not in ("StageMeasured",)]) + str(lab.llm.prompts)
    assert CARD not in written
    assert "pressed" not in str(lab.llm.prompts)


async def test_the_model_reads_what_the_caller_says_while_it_is_said_but_for_the_word_in_progress(lab: Lab) -> None:
    call = await greeted(lab)
    # The service read the system's prompt when it started.
    lab.llm.read.clear()

    def readings_after(text: str) -> int:
        call.call.conductor.agent.listening(text)
        return len(lab.llm.read)

    assert readings_after("I lost") == 0
    await lab.until(lambda: readings_after("I lost my") == 1)
    # While one reading is under way the next one waits for a later text.
    await lab.until(lambda: readings_after("I lost my red.") + readings_after("I lost my credit card") == 4)
    # Each reading costs something, so two words at a time; a word that turns out otherwise is no harm.
    assert lab.llm.read == ["I lost", "I lost my credit"]


async def test_secret_keys_that_nobody_asked_for_are_told_to_nobody(lab: Lab) -> None:
    call = await greeted(lab)
    call.decide(do.KeysEntered(Personal(CARD, "dtmf"), masked=True, reason="timeout"))
    assert lab.llm.prompts == []
    assert (await call.until(ev.KeysCollected)).keys.reveal() == ""


async def test_a_key_cuts_the_agent_to_what_had_left_by_then() -> None:
    async with Lab(agent=SHORT, reply_words=13) as lab:
        call = await greeted(lab)
        call.leg.speak(600)
        await call.until(ev.AgentSpeechStarted, turn=1)
        before = len(call.leg.sent)
        await lab.until(lambda: len(call.leg.sent) > before + 60)
        call.decide(do.StopPlayout(0, lab.clock.now_ns(), "key"))
        call.decide(do.KeysEntered(Personal("1", "dtmf"), masked=False, reason="complete"))
        barge_in = await call.until(ev.BargeIn, reason="key")
        await call.until(ev.AgentSpeechStarted, turn=2)
        assert barge_in.heard.reveal().startswith("Sure, I")
        assert f"assistant: {barge_in.heard.reveal()}" in lab.llm.prompts[-1]


async def test_a_filler_is_said_while_the_answer_takes_long() -> None:
    async with Lab(agent={**SHORT, "fillers": ["Just a moment, I am looking."]}, llm_ttft_ms=2500) as lab:
        call = await greeted(lab)
        call.leg.speak(600)
        await call.until(ev.ReplyStarted, kind="reply")
        call.decide(do.Filler(1))
        await call.until(ev.AgentSpeechEnded, 3)
        assert said(call)[1:] == [("reply", "Just a moment, I am looking."), ("filler", "Sure, I can help.")]
        # Patience is no part of the conversation.
        call.leg.speak(600)
        await call.until(ev.AgentSpeechEnded, 4)
        assert not any("looking" in line for line in lab.llm.prompts[-1])


async def test_a_filler_ends_with_its_word_when_the_answer_is_there() -> None:
    filler = "Just a moment please because I am looking for it in every book there is."
    async with Lab(agent={**SHORT, "fillers": [filler]}, llm_ttft_ms=1500) as lab:
        call = await greeted(lab)
        call.leg.speak(600)
        await call.until(ev.ReplyStarted, kind="reply")
        call.decide(do.Filler(1))
        await call.until(ev.AgentSpeechEnded, 3)
        heard = call.events(ev.AgentSpeechEnded)[1].heard.reveal()
        assert heard
        assert len(heard.split()) < len(filler.split())
        assert filler.startswith(f"{heard} ")
        assert call.events(ev.AgentSpeechEnded)[2].heard.reveal() == "Sure, I can help."


async def test_no_filler_is_said_when_the_answers_audio_is_there(lab: Lab) -> None:
    call = await greeted(lab)
    call.leg.speak(600)
    await call.until(ev.AgentSpeechStarted, turn=1)
    call.decide(do.Filler(1))
    await call.until(ev.AgentSpeechEnded, 2)
    assert [event.kind for event in call.events(ev.ReplyStarted)] == ["greeting", "reply"]


async def test_silence_and_doubt_have_sentences_of_their_own(lab: Lab) -> None:
    call = await greeted(lab)
    agent = lab.settings.agent
    call.decide(do.Reprompt(1))
    call.decide(do.Reprompt(2, "simpler"))
    call.decide(do.Reprompt(3, "offer"))
    texts = [event.text.reveal() for event in call.events(ev.ReplyText)][-3:]
    assert texts == [agent.reprompt, agent.reprompt_simpler, agent.reprompt_offer]
    # What only asks the caller to speak is void once the caller has spoken.
    call.decide(do.UnclearTurn(1, lab.clock.now_ns(), "language"))
    await call.until(ev.AgentSpeechEnded, 2)
    assert [event.heard.reveal() for event in call.events(ev.AgentSpeechEnded)][1] in (
        agent.reprompt,
        agent.not_understood_language,
    )
    assert call.events(ev.TurnDropped)[-1].reason == "another language"


# ---- pure


def test_sentences_follow_the_locale_and_settings_come_first() -> None:
    german = load_settings(env={}, overrides={"agent": {"locale": "de-DE", "goodbye": "Tschüss."}}).agent
    assert german.reprompt == "Sind Sie noch da?"
    assert german.goodbye == "Tschüss."
    austrian = load_settings(env={}, overrides={"agent": {"locale": "de-AT"}}).agent
    assert austrian.greeting == german.greeting
    finnish = load_settings(env={}, overrides={"agent": {"locale": "fi-FI"}}).agent
    assert finnish.greeting == load_settings(env={}).agent.greeting


def test_every_locale_says_everything() -> None:
    from services.common.sentences import ENGLISH, LOCALES

    for sentences in LOCALES.values():
        assert set(sentences) == set(ENGLISH)
        assert "{keys}" in sentences["keyed"]


def filler() -> Utterance:
    words = [SpokenWord(0, 4, 0, 1600), SpokenWord(5, 8, 1600, 2800)]
    return Utterance(0, 8_000, "Just now.", bytearray(2 * 4000), words, finished=True)


@pytest.mark.parametrize(("frames", "samples", "text"), [(3, 1600, "Just"), (11, 2800, "Just now")])
def test_an_utterance_ends_early_with_the_word_that_was_handed_over(frames: int, samples: int, text: str) -> None:
    buffer, utterance = PlayoutBuffer(8_000, 20 * frames), filler()
    buffer.enqueue(utterance)
    assert len(buffer.frames()) == frames
    assert buffer.end_at_word(utterance)
    assert (utterance.samples, utterance.text) == (samples, text)


def test_an_utterance_that_has_not_begun_is_dropped_instead() -> None:
    buffer, utterance = PlayoutBuffer(8_000, 60), filler()
    answer = Utterance(1, 8_000)
    buffer.enqueue(answer)
    buffer.enqueue_first(utterance)
    assert not buffer.end_at_word(utterance)
    assert buffer.current is answer
