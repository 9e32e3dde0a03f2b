"""What a person reads of a call's events."""

from services.cli.transcript import Said, Transcript


def feed(*events: dict) -> list[Said]:
    transcript = Transcript()
    return [line for event in events for line in transcript.feed(event)]


def test_the_agents_line_is_what_was_heard_and_a_cut_one_says_so() -> None:
    lines = feed(
        {"type": "FinalTranscript", "provisional": True, "text": "hello"},
        {"type": "FinalTranscript", "provisional": False, "text": "Hello there. "},
        {"type": "ReplyText", "turn": 1, "text": "I can say a lot of things"},
        {"type": "BargeIn", "turn": 1, "heard": "I can say", "reason": "speech"},
        {"type": "AgentSpeechEnded", "turn": 1, "heard": "I can say", "complete": False},
        {"type": "CallEnded", "cause": "remote_bye", "detail": ""},
    )
    assert lines == [
        Said("caller", "Hello there."),
        Said("note", "the caller interrupts, the agent stops"),
        Said("agent", "I can say …"),
        Said("note", "the call ended: remote_bye"),
    ]


def test_partials_are_shown_once_and_marked() -> None:
    partial = {"type": "PartialTranscript", "stable": "go", "unstable": "forward"}
    assert feed(partial, partial) == [Said("caller", "go forward", final=False)]


def test_a_failing_service_is_named() -> None:
    [line] = feed({"type": "ServiceFailed", "service": "llm", "code": "UNAVAILABLE", "will_retry": True})
    assert line.text == "llm does not answer (UNAVAILABLE); the call tries again"


def test_keys_are_shown_and_secret_ones_are_not() -> None:
    lines = feed({"type": "KeysCollected", "masked": False, "keys": "471"}, {"type": "KeysCollected", "masked": True})
    assert [line.text for line in lines] == ["keys: 471", "the caller keyed a secret"]


def test_unknown_events_say_nothing() -> None:
    assert feed({"type": "StageMeasured"}, {}) == []
