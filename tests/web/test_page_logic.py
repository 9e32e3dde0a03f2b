"""The page's own logic, run where it runs: what it makes of an event log, and how it splits a turn's time."""

from typing import Any

from playwright.async_api import Browser

from tests.web.browser import NEEDS_CHROMIUM, open_page
from tests.web.harness import site

pytestmark = NEEDS_CHROMIUM


def log(*events: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Events as they come over the WebSocket, 100 ms apart."""
    return [{"type": kind, "at_ns": (n + 1) * 100_000_000, **fields} for n, (kind, fields) in enumerate(events)]


LOGS: dict[str, tuple[list[dict[str, Any]], list[list[Any]]]] = {
    "clauses that come one by one are joined, whole texts replace": (
        log(
            ("ReplyStarted", {"turn": 1, "kind": "reply"}),
            ("ReplyText", {"turn": 1, "text": "Well,"}),
            ("ReplyText", {"turn": 1, "text": "Well, yes."}),
            ("ReplyText", {"turn": 1, "text": "It is."}),
        ),
        [["agent", "preparing", "Well, yes. It is.", None]],
    ),
    "an apology takes the place of a reply that failed, and the reply comes after it": (
        log(
            ("ReplyStarted", {"turn": 2, "kind": "reply"}),
            ("ServiceFailed", {"service": "llm", "code": "x", "will_retry": True}),
            ("ReplyStarted", {"turn": 2, "kind": "apology"}),
            ("ReplyText", {"turn": 2, "text": "Sorry, a moment."}),
            ("AgentSpeechStarted", {"turn": 2}),
            ("ReplyStarted", {"turn": 2, "kind": "reply"}),
            ("AgentSpeechEnded", {"turn": 2, "heard": "Sorry, a moment.", "complete": True}),
            ("ReplyText", {"turn": 2, "text": "Here you are."}),
        ),
        [
            ["agent", "dropped", "", None],
            ["note", None, "Thinking did not answer; trying again", None],
            ["agent", "done", "Sorry, a moment.", None],
            ["agent", "preparing", "Here you are.", None],
        ],
    ),
    "an interruption cuts what is spoken and what would have followed, and times the first": (
        log(
            ("ReplyStarted", {"turn": 2, "kind": "apology"}),
            ("ReplyText", {"turn": 2, "text": "Sorry, a moment."}),
            ("AgentSpeechStarted", {"turn": 2}),
            ("ReplyStarted", {"turn": 2, "kind": "reply"}),
            ("PlayoutPaused", {"turn": 2, "stopped_ns": 350_000_000}),
            ("BargeIn", {"turn": 2, "heard": "Sorry,", "reason": "speech"}),
            ("StageMeasured", {"stage": "barge_in_stop", "turn": 2, "ms": 200.0}),
            ("AgentSpeechEnded", {"turn": 2, "heard": "Sorry,", "complete": False}),
            ("BargeIn", {"turn": 2, "heard": "", "reason": "speech"}),
        ),
        [["agent", "cut", "Sorry, a moment.", 200.0], ["agent", "cut", "", None]],
    ),
    "a provisional final is void when speech goes on": (
        log(
            ("SpeechStarted", {"utterance": 1, "onset_ns": 1, "during_playout": False}),
            ("FinalTranscript", {"utterance": 1, "provisional": True, "text": "I want", "rejection": ""}),
            ("SpeechResumed", {"utterance": 1}),
            ("PartialTranscript", {"utterance": 1, "stable": "I want to", "unstable": "go"}),
        ),
        [["caller", "partial", "I want to", None]],
    ),
    "text that was rejected is not shown": (
        log(
            ("SpeechStarted", {"utterance": 1, "onset_ns": 1, "during_playout": False}),
            ("FinalTranscript", {"utterance": 1, "provisional": False, "text": "Thanks!", "rejection": "no_speech"}),
            ("TurnDropped", {"utterance": 1, "reason": "no words"}),
        ),
        [["caller", "dropped", "", None]],
    ),
    "events of tomorrow are passed over": (log(("SomethingNew", {"x": 1})), []),
}


async def test_the_page_tells_the_log_as_it_happened(browser: Browser) -> None:
    """The reducer of the page, on logs with known meaning: [kind, state, text, ms until silence] of each entry."""
    async with site() as running, open_page(running, browser) as page:
        for name, (events, expected) in LOGS.items():
            told = await page.evaluate(
                """async (events) => {
                  const { apply, newConversation } = await import("/static/conversation.js");
                  const state = newConversation();
                  events.forEach((event) => apply(state, event));
                  return state.items.map((i) => [i.kind, i.state ?? null, i.text ?? i.stable, i.stopMs ?? null]);
                }""",
                events,
            )
            assert told == expected, name


async def test_the_parts_of_a_bar_add_up_to_the_whole_whatever_overlaps(browser: Browser) -> None:
    ms = 1_000_000
    stages = {
        "voice_to_voice": {"ms": 900, "atNs": 1900 * ms},
        "endpoint": {"ms": 300, "atNs": 1300 * ms},
        "asr_final": {"ms": 250, "atNs": 1250 * ms},
        # Speculated: its first token was there before the turn was over.
        "llm_ttft": {"ms": 20, "atNs": 1270 * ms},
        "llm_first_clause": {"ms": 200, "atNs": 1500 * ms},
        "tts_ttfa": {"ms": 380, "atNs": 1880 * ms},
        "playout": {"ms": 20, "atNs": 1900 * ms},
    }
    async with site() as running, open_page(running, browser) as page:
        parts = await page.evaluate(
            """async (stages) => {
              const { split } = await import("/static/latency.js");
              return split(stages).map((part) => [part.group, Math.round(part.ms)]);
            }""",
            stages,
        )
    assert parts == [["asr", 250], ["llm", 20], ["endpoint", 30], ["llm", 200], ["tts", 380], ["playout", 20]]
