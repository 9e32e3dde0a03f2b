"""What was said in a call, as the model is told: only what was heard, and always by extending what it knows.

The messages of turn N+1 begin with the messages of turn N, so that the engine's prefix cache holds. When the
history reaches its bound, half of it goes at once rather than a bit each turn, and it goes when the agent's turn ends:
then there is time to compute the shorter prompt again before the caller has spoken (`after` says what it will be).
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a prompt."""

    role: Literal["system", "user", "assistant"]
    text: str


class History:
    """Alternates caller and agent; keeps at most `max_turns` exchanges."""

    def __init__(self, system_prompt: str, max_turns: int) -> None:
        self._system = Message("system", system_prompt)
        self._limit = max_turns * 2
        self._messages: list[Message] = []

    def messages(self, user_text: str | None = None) -> list[Message]:
        """The prompt so far; with `user_text`, the prompt for the reply to it (nothing is added to the history)."""
        if user_text is None:
            return [self._system, *self._messages]
        return [self._system, *_joined(self._messages, Message("user", user_text))]

    def after(self, reply: str) -> list[Message]:
        """The messages as they will be once all of `reply` was heard: worth warming while it is spoken."""
        return [self._system, *self._with_heard(reply)]

    def caller_said(self, text: str) -> None:
        """Add the caller's turn. Two in a row (the agent was not heard between) become one."""
        self._messages = _joined(self._messages, Message("user", text))

    def agent_was_heard(self, text: str) -> None:
        """Add what was heard of the agent's turn; nothing heard adds nothing."""
        self._messages = self._with_heard(text)

    def _with_heard(self, text: str) -> list[Message]:
        if not text.strip():
            return self._messages
        messages = _joined(self._messages, Message("assistant", text.strip()))
        if len(messages) < self._limit:
            return messages
        keep = messages[-(self._limit // 2) :]
        # A prompt does not begin in the middle of an exchange.
        while keep and keep[0].role == "assistant":
            keep = keep[1:]
        return keep


def _joined(messages: list[Message], message: Message) -> list[Message]:
    if messages and messages[-1].role == message.role:
        last = messages[-1]
        return [*messages[:-1], Message(last.role, f"{last.text} {message.text}")]
    return [*messages, message]
