"""Chat templates: from messages to the text a model was trained on, and to the text all continuations share.

Pure. The template is the model's own (GGUF metadata or tokenizer), rendered in Jinja's sandbox. Callers' words
cannot forge control tokens: every marker the model could read as one is removed from contents first.
"""

import re
from collections.abc import Sequence
from typing import NoReturn

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from services.common.errors import InvalidInputError
from services.llm.engine import Message, Role

# <|im_start|>, <|eot_id|>, <|fim_prefix|>…: the form of control tokens in Qwen, Llama 3, SmolLM2, Phi, GLM.
_CONTROL = r"<\|[^|<>\s]{1,48}\|>"
# What else a template writes itself: <s>, </s>, <start_of_turn>, [INST], [/INST].
_MARKERS = re.compile(r"</?[a-z_]{1,24}>|\[/?[A-Z_]{2,24}\]")
# Private-use characters: no template, tokenizer or transcript has them.
_END = "\ue07f\ue0ff"


class ChatTemplate:
    """Renders prompts; `source` is Jinja2 as found beside the weights."""

    def __init__(self, source: str, *, bos_token: str = "", eos_token: str = "") -> None:
        env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        env.globals["raise_exception"] = _refuse
        self._template = env.from_string(source)
        self._tokens = {"bos_token": bos_token, "eos_token": eos_token}
        markers = {re.escape(found) for found in _MARKERS.findall(source)}
        markers |= {re.escape(token) for token in (bos_token, eos_token) if token}
        self._control = re.compile("|".join([_CONTROL, *sorted(markers)]))

    def prompt(self, messages: Sequence[Message]) -> str:
        """The text after which the model writes its reply. Raises InvalidInputError when the template refuses."""
        return self._render(messages, reply=True)

    def prefix(self, messages: Sequence[Message]) -> str:
        """The longest text that the prompt of every conversation continuing `messages` begins with.

        A last user message may still grow (the caller is speaking); anything else is followed by a user message.
        """
        if messages and messages[-1].role is Role.USER:
            grown = [*messages[:-1], Message(Role.USER, messages[-1].content + _END)]
        else:
            grown = [*messages, Message(Role.USER, _END)]
        return self._render(grown, reply=False).partition(_END)[0]

    def clean(self, text: str) -> str:
        """`text` without anything the model would read as a control token."""
        previous = None
        while previous != text:
            previous, text = text, self._control.sub("", text)
        return text

    def _render(self, messages: Sequence[Message], *, reply: bool) -> str:
        plain = [{"role": message.role.value, "content": self.clean(message.content)} for message in messages]
        try:
            # A caller waits: models that can think aloud first are told not to.
            return self._template.render(
                messages=plain, add_generation_prompt=reply, tools=None, enable_thinking=False, **self._tokens
            )
        except TemplateError as error:
            raise InvalidInputError(
                "messages",
                expected="an order of roles this model's chat template takes",
                got=", ".join(message.role.value for message in messages[:8]),
                remedy="Begin with a system message, then alternate user and assistant.",
            ) from error


def _refuse(reason: str) -> NoReturn:
    raise TemplateError(reason)
