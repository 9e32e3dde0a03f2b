"""What the models said of each stretch of audio, kept in a file: the replay of decisions needs no model.

An answer is named by the models' identity, the audio's hash and the stretch (16 kHz samples from and to). The file
has one JSON row per answer and is only ever appended to, so an interrupted run loses nothing, and it can be copied.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Kind = Literal["vad", "turn", "text"]


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to a model. `vad` covers all of the audio (0, 0)."""

    kind: Kind
    sha: str
    start: int = 0
    end: int = 0

    def key(self, model: str) -> str:
        """How the answer is filed."""
        return f"{self.kind} {model} {self.sha} {self.start} {self.end}"


class MissingOutputError(Exception):
    """The replay needs an answer that is not in the file yet."""

    def __init__(self, ask: Ask) -> None:
        super().__init__(f"no answer yet for {ask.kind} {ask.start} to {ask.end}")
        self.ask = ask


class Outputs:
    """Answers by question. `models` names the model that answers each kind."""

    def __init__(self, path: Path, models: dict[Kind, str]) -> None:
        self.models = models
        self._path = path
        self._known: dict[str, Any] = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            try:
                key, value = json.loads(line)
            except ValueError:
                # The last row of a run that was killed.
                continue
            self._known[key] = value

    def __len__(self) -> int:
        return len(self._known)

    def has(self, ask: Ask) -> bool:
        """It was answered."""
        return ask.key(self.models[ask.kind]) in self._known

    def get(self, ask: Ask) -> Any:
        """The answer. Raises MissingOutputError."""
        try:
            return self._known[ask.key(self.models[ask.kind])]
        except KeyError:
            raise MissingOutputError(ask) from None

    def put(self, ask: Ask, value: Any) -> None:
        """Keep an answer."""
        key = ask.key(self.models[ask.kind])
        self._known[key] = value
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps([key, value], separators=(",", ":")) + "\n")
