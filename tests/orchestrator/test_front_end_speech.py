"""Real voices and the real voice detector: an echo is no barge-in, a caller over an echo is one."""

import numpy as np
import pytest

from benchmarks.rooms import EchoPath, as_audio, at_level, g711, pink
from services.cli.clips import by_name, human_speech
from services.common.errors import MissingModelError
from services.common.models import ModelStore
from services.common.settings import TurnSettings, load_settings
from services.orchestrator.media.audio import ModelFrame
from services.orchestrator.media.front_end import FrontEnd
from services.orchestrator.turns.signals import VadFrame
from services.orchestrator.turns.speech import SpeechDetector
from services.vad.silero import SileroEngine
from tests.orchestrator.test_front_end import RATE, Call

pytestmark = pytest.mark.models
_SENSE = "librivox/sense_and_sensibility_01_austen_64kb-"


def voices() -> tuple[np.ndarray, np.ndarray, SileroEngine]:
    """Four seconds that stand for the agent, a second of another caller, the detector."""
    store = ModelStore(load_settings(env={}).models)
    try:
        clips = human_speech(store)
        model = next(iter(sorted(store.path("silero-vad-v6").rglob("*.onnx"))))
    except MissingModelError as error:
        pytest.skip(str(error))
    agent, caller = by_name(clips, f"{_SENSE}0880.wav", "cards/003.wav")
    said = at_level(as_audio(agent.at(RATE).pcm), -20)
    return np.resize(said, 4 * RATE), at_level(as_audio(caller.at(RATE).pcm), -20)[:RATE], SileroEngine(model, 1)


def onsets(vad: SileroEngine, frames: list[ModelFrame]) -> list[float]:
    """Times (ms of the call) at which the turn-taker's detector would know of speech."""
    detector, found = SpeechDetector(TurnSettings()), []
    state, context = np.zeros((2, 1, 128), np.float32), np.zeros((1, 64), np.float32)
    for index, frame in enumerate(frames):
        pcm = np.frombuffer(frame.pcm, "<i2").astype(np.float32)[None] / 32768
        probability, state = vad.infer(np.concatenate([context, pcm], axis=1), state)
        context = pcm[:, -64:]
        if detector.push(VadFrame(frame.end_ns, frame.end_ns, float(probability[0]), frame.levels_db)) == "onset":
            found.append((index + 1) * 32.0)
        if detector.active and not detector.voiced:
            detector.reset()
    return found


@pytest.mark.parametrize(("delay_ms", "loss_db"), [(40, 6), (120, 18), (250, 24)])
def test_our_own_echo_is_no_onset_with_the_front_end_and_is_one_without(delay_ms: int, loss_db: float) -> None:
    agent, _, vad = voices()
    line = EchoPath(delay_ms, loss_db, seed=3).echo(as_audio(g711(agent))) + 10**-3.1 * pink(len(agent), 1)
    pairs = list(Call().run(g711(agent), g711(line)))
    assert onsets(vad, [came for came, _ in pairs])
    assert onsets(vad, [given for _, given in pairs]) == []


@pytest.mark.parametrize("loss_db", [12, 24, None])
def test_a_caller_over_our_voice_is_heard_with_and_without_an_echo(loss_db: float | None) -> None:
    agent, caller, vad = voices()
    line = 10**-3.1 * pink(len(agent), 1)
    if loss_db is not None:
        line += EchoPath(120, loss_db, seed=2).echo(as_audio(g711(agent)))
    begin = 2 * RATE
    line[begin : begin + len(caller)] += caller
    call = Call(FrontEnd(RATE))
    found = onsets(vad, [given for _, given in call.run(g711(agent), g711(line))])
    assert found
    assert 0 < found[0] - 2000 < 300
