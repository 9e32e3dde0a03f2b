"""Text and tokens of one Whisper model: its languages, the prompt a call gets, what it must not say."""

from pathlib import Path

import tokenizers
from faster_whisper.tokenizer import Tokenizer

from services.asr.hypothesis import Recognition
from services.common.errors import InvalidInputError

MAX_HOTWORD_TOKENS = 96
# BCP 47 primary tags that Whisper writes otherwise.
_WHISPER_CODES = {"nb": "no", "iw": "he", "cmn": "zh", "fil": "tl", "jv": "jw", "in": "id"}


class Vocabulary:
    """Read from `tokenizer.json` in the model's directory `path`."""

    def __init__(self, path: Path, *, multilingual: bool) -> None:
        self._bpe = tokenizers.Tokenizer.from_file(str(path / "tokenizer.json"))
        self._multilingual = multilingual
        self._tokenizers: dict[str, Tokenizer] = {}
        english = self.tokenizer("en")
        self.eot: int = english.eot
        # Speaker tags, brackets and notes, and the tokens that only ever begin a transcript.
        beginnings = (english.sot, english.sot_prev, english.sot_lm, english.transcribe, english.translate)
        self.suppressed: list[int] = sorted({*english.non_speech_tokens, *beginnings})

    def tokenizer(self, language: str) -> Tokenizer:
        """faster_whisper's tokenizer for a language of Whisper's."""
        found = self._tokenizers.get(language)
        if found is None:
            found = self._tokenizers[language] = Tokenizer(
                self._bpe, self._multilingual, task="transcribe", language=language
            )
        return found

    def check(self, recognition: Recognition) -> None:
        """Raise InvalidInputError for a locale the model does not know or hotwords that leave it no room."""
        code = _language_code(recognition.locale)
        if code and not self._multilingual and code != "en":
            raise InvalidInputError(
                "config.locale",
                expected="English, the only language of this model",
                got=repr(recognition.locale),
                remedy="Set asr.model to a multilingual model.",
            )
        if code and self._bpe.token_to_id(f"<|{code}|>") is None:
            raise InvalidInputError(
                "config.locale", expected="a BCP 47 tag of one of the model's languages", got=repr(recognition.locale)
            )
        count = len(self.hotwords(recognition))
        if count > MAX_HOTWORD_TOKENS:
            raise InvalidInputError(
                "config.hotwords",
                expected=f"at most {MAX_HOTWORD_TOKENS} tokens",
                got=f"{count}",
                remedy="Keep the words of this goal only: long lists harm recognition.",
            )

    def language(self, recognition: Recognition) -> str:
        """Whisper's code of the call's language; empty when it is to be detected."""
        return _language_code(recognition.locale) if self._multilingual else "en"

    def hotwords(self, recognition: Recognition) -> list[int]:
        """The words to favour as text that came before."""
        if not recognition.hotwords:
            return []
        text = " " + ", ".join(recognition.hotwords)
        tokens: list[int] = self._bpe.encode(text, add_special_tokens=False).ids
        return tokens

    def prompt(self, recognition: Recognition, language: str) -> list[int]:
        """What the decoder begins with: hotwords, language, task, no time tokens."""
        tokenizer = self.tokenizer(language)
        hotwords = self.hotwords(recognition)
        previous = [tokenizer.sot_prev, *hotwords] if hotwords else []
        return [*previous, *tokenizer.sot_sequence, tokenizer.no_timestamps]


def _language_code(locale: str) -> str:
    primary = locale.replace("_", "-").split("-")[0].lower()
    return _WHISPER_CODES.get(primary, primary)
