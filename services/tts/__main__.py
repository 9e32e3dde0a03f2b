"""`python -m services.tts`: the TTS process."""

from services.common.process import run_model_service
from services.tts.server import build

if __name__ == "__main__":
    run_model_service("tts", build)
