"""A world for the turn-taker: 32 ms frames, a recogniser and an agent that answer as told, virtual time only."""

from services.common.personal import Personal
from services.common.settings import TurnSettings
from services.orchestrator.turns import decisions as do
from services.orchestrator.turns import signals as on
from services.orchestrator.turns.expectation import Expectation
from services.orchestrator.turns.taker import TurnTaker

MS = 1_000_000
FRAME_MS = 32
# A later first dip than usual: the silences of these tests are counted in it.
SETTINGS = TurnSettings(pause_ms=200)
CLOSING = (do.EndTurn, do.UnclearTurn, do.Discard, do.FailTurn)


class World:
    """Moves time frame by frame; rings the taker's alarm as the call would."""

    def __init__(self, settings: TurnSettings | None = None) -> None:
        self.taker = TurnTaker(settings or SETTINGS, final_deadline_ms=3000)
        self.now_ms = 1000
        self.log: list[tuple[int, do.Decision]] = []

    def feed(self, signal: on.Signal) -> list[do.Decision]:
        out = self.taker.handle(signal)
        self.log += [(self.now_ms, decision) for decision in out]
        return out

    def wait(self, ms: int) -> None:
        """Let time pass without frames, ringing the alarm whenever it is due."""
        end = self.now_ms + ms
        for _ in range(1000):
            due = self.taker.next_deadline_ns()
            if due is None or due > end * MS:
                break
            self.now_ms = max(self.now_ms, -(-due // MS))
            self.feed(on.Tick(self.now_ms * MS))
        else:
            raise AssertionError("the alarm rings for ever")
        self.now_ms = end

    def frames(self, ms: int, probability: float, level_db: float | None = None) -> None:
        """Frames of speech (0.95) or silence (0.02), at a level or without one."""
        levels = () if level_db is None else (level_db,) * 4
        for _ in range(max(1, round(ms / FRAME_MS))):
            self.wait(FRAME_MS)
            self.feed(on.VadFrame(self.now_ms * MS, self.now_ms * MS, probability, levels))

    def speech(self, ms: int, level_db: float | None = None) -> None:
        self.frames(ms, 0.95, level_db)

    def silence(self, ms: int) -> None:
        self.frames(ms, 0.02)

    def text(self, text: str, *, provisional: bool = True, logprob: float = -0.1, ending: float | None = None) -> None:
        self.feed(on.FinalText(self.now_ms * MS, self.utterance, text, provisional, logprob, ending=ending))

    def partial(self, text: str) -> None:
        self.feed(on.PartialText(self.now_ms * MS, self.utterance, text))

    def turn(self, text: str, level_db: float | None = None, ms: int = 640) -> None:
        """A whole turn, spoken, recognised and found complete."""
        self.speech(ms, level_db)
        self.frames(210, 0.02, None if level_db is None else -90.0)
        self.predict(0.97)
        self.text(text)
        self.frames(400, 0.02, None if level_db is None else -90.0)

    def asked(self, expectation: Expectation) -> None:
        self.feed(on.Asked(self.now_ms * MS, expectation))

    def keys(self, keys: str, gap_ms: int = 200) -> None:
        for key in keys:
            self.feed(on.KeyPressed(self.now_ms * MS, Personal(key, "key")))
            self.wait(gap_ms)

    def predict(self, probability: float) -> None:
        self.feed(on.TurnPrediction(self.now_ms * MS, self.utterance, probability))

    def agent(self, phase: on.AgentPhase, *, protected: bool = False, saying: str = "") -> None:
        self.feed(on.AgentChanged(self.now_ms * MS, phase, protected, saying))

    @property
    def utterance(self) -> int:
        return sum(isinstance(decision, do.StartSpeech) for _, decision in self.log)

    def made(self, *kinds: type) -> list[do.Decision]:
        return [decision for _, decision in self.log if isinstance(decision, kinds)]

    def when(self, kind: type) -> int:
        return next(at for at, decision in self.log if isinstance(decision, kind))
