"""Settings of the agent: a bundle, or a prompt and the sentences it says by itself."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, model_validator

from services.common.lexicon import Hotwords, Sayings
from services.common.sentences import ENGLISH, sentences_of
from services.common.settings.base import Positive, Section


class AgentSettings(Section):
    """The agent: a released bundle, or a system prompt and the sentences it says by itself.

    What is not set comes from the locale (services.common.sentences); the defaults shown are those of en-US.
    """

    # An agent by its bundle (docs/bundles.md): the id, and the label whose release new calls get. Empty: what follows.
    bundle: str = ""
    label: str = "prod"
    locale: str = "en-US"
    voice: str = ""
    system_prompt: str = str(ENGLISH["system_prompt"])
    greeting: str = str(ENGLISH["greeting"])
    # Legal text, said before the greeting: it is finished whoever speaks. Empty: nothing.
    disclosure: str = ""
    apology_retry: str = str(ENGLISH["apology_retry"])
    apology_goodbye: str = str(ENGLISH["apology_goodbye"])
    # Nobody says anything: asked, asked more simply, offered help.
    reprompt: str = str(ENGLISH["reprompt"])
    reprompt_simpler: str = str(ENGLISH["reprompt_simpler"])
    reprompt_offer: str = str(ENGLISH["reprompt_offer"])
    goodbye: str = str(ENGLISH["goodbye"])
    time_over: str = str(ENGLISH["time_over"])
    # Words that did not come, came too doubtful, came in another language.
    not_understood: str = str(ENGLISH["not_understood"])
    not_understood_score: str = str(ENGLISH["not_understood_score"])
    not_understood_language: str = str(ENGLISH["not_understood_language"])
    # Said one after the other while an answer takes long; empty: silence.
    fillers: tuple[str, ...] = tuple(ENGLISH["fillers"])
    # How the model is told what the caller keyed.
    keyed: Annotated[str, Field(pattern=r"\{keys\}")] = str(ENGLISH["keyed"])
    # A person was asked for and could not be reached: with a call back, and when even that could not be noted.
    call_back: str = str(ENGLISH["call_back"])
    nobody_there: str = str(ENGLISH["nobody_there"])
    max_history_turns: Positive = 12
    # Words of this business that the recogniser shall expect. Few: each costs on other speech (benchmarks/README.md).
    asr_hotwords: Hotwords = ()
    # How words are said that the voice would read wrongly: say.MiniSaver = "mini saver". Texts keep what is written.
    say: Sayings = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_locale(cls, values: Any) -> Any:
        """Sentences that are not set are those of the locale."""
        if not isinstance(values, Mapping):
            return values
        return {**sentences_of(str(values.get("locale", "en-US"))), **values}

    def sentences(self) -> tuple[str, ...]:
        """Everything said as it stands, whatever the caller says: made before it is needed."""
        said = (
            self.greeting,
            self.disclosure,
            self.apology_retry,
            self.apology_goodbye,
            self.reprompt,
            self.reprompt_simpler,
            self.reprompt_offer,
            self.goodbye,
            self.time_over,
            self.not_understood,
            self.not_understood_score,
            self.not_understood_language,
            self.call_back,
            self.nobody_there,
            *self.fillers,
        )
        return tuple(dict.fromkeys(text for text in said if text.strip()))
