"""`python -m services.llm`: the language model service as a process."""

from services.common.process import run_model_service
from services.llm.server import build

if __name__ == "__main__":
    run_model_service("llm", build)
