"""`python -m services.vad`."""

from services.common.process import run_model_service
from services.vad.server import build

run_model_service("vad", build)
