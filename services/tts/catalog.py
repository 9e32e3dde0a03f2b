"""Which voice speaks: by name, else by locale."""

from collections.abc import Mapping

from services.common.errors import InvalidInputError
from services.tts.engine import VoiceInfo


def default_for_locale(voices: Mapping[str, VoiceInfo], voice: VoiceInfo) -> bool:
    """Whether `voice` is the one its locale gets: the first named in the settings."""
    return next(v for v in voices.values() if v.locale.lower() == voice.locale.lower()) is voice


def choose_voice(voices: Mapping[str, VoiceInfo], name: str, locale: str) -> VoiceInfo:
    """The voice asked for. Exact locale, else one of the same language, else InvalidInputError saying what exists."""
    if name:
        if name not in voices:
            raise InvalidInputError("config.voice", expected=f"one of {', '.join(voices)}", got=_shown(name))
        return voices[name]
    if not locale:
        return next(iter(voices.values()))
    wanted = locale.replace("_", "-").lower()
    exact = [v for v in voices.values() if v.locale.lower() == wanted]
    language = [v for v in voices.values() if v.locale.lower().split("-")[0] == wanted.split("-")[0]]
    if not exact and not language:
        spoken = ", ".join(sorted({v.locale for v in voices.values()}))
        raise InvalidInputError(
            "config.locale", expected=f"a locale with a voice ({spoken})", got=_shown(locale),
            remedy="Add a voice of that locale to tts.voices.",
        )  # fmt: skip
    return (exact or language)[0]


def _shown(value: str) -> str:
    """What came, cut to a length fit for an error."""
    return repr(value if len(value) <= 40 else f"{value[:40]}…")
