"""Words of a business as settings and bundles may state them: what a recogniser expects, how a voice says a word.

The bounds are those of the services that get them, so that what is accepted here is refused by none of them in a call.
"""

from typing import Annotated, Final

from pydantic import AfterValidator, Field, StringConstraints

# The recogniser takes 96 tokens of hotwords, and a token has at least one byte.
MOST_HOTWORD_BYTES: Final = 96
_SAYABLE: Final = r"[\p{L}\p{N}]"


def _fit(words: tuple[str, ...]) -> tuple[str, ...]:
    size = len(f" {', '.join(words)}".encode())
    if size > MOST_HOTWORD_BYTES:
        raise ValueError(f"expected at most {MOST_HOTWORD_BYTES} bytes together, got {size}; keep what matters")
    return words


# Short, and few of them, for each costs on other speech.
Hotword = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=24, pattern=_SAYABLE)]
Hotwords = Annotated[tuple[Hotword, ...], Field(max_length=8), AfterValidator(_fit)]
# One written word, and what is said for it.
Written = Annotated[str, StringConstraints(pattern=r"^\S{1,40}$")]
Said = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80, pattern=_SAYABLE)]
Sayings = Annotated[dict[Written, Said], Field(max_length=64)]
