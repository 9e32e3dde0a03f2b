"""`python -m services.asr`: the asr process."""

from services.asr.server import build
from services.common.process import run_model_service

if __name__ == "__main__":
    run_model_service("asr", build)
