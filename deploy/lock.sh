#!/usr/bin/env bash
# Resolve pyproject's extras into hash-pinned files, one per image: deploy/locks/<extra>.txt.
# The union (dev) is resolved first and constrains the rest, so every image runs the same versions.
# Needs uv (`pip install uv`). Run with --upgrade to take newer versions.
set -euo pipefail
cd "$(dirname "$0")/.."
compile() { uv pip compile -q --generate-hashes --no-emit-index-url --no-header --no-annotate \
  --python-version 3.11 --python-platform x86_64-manylinux_2_28 --no-emit-package trunkline "$@"; }
compile "${@}" --extra dev pyproject.toml -o deploy/locks/dev.txt
grep -oE '^[A-Za-z0-9_.-]+==[^ ;\\]+' deploy/locks/dev.txt >deploy/locks/.constraints
trap 'rm -f deploy/locks/.constraints' EXIT
for extra in vad asr llm-cpu tts telephony orchestrator cli cpu; do
  compile -c deploy/locks/.constraints --extra "$extra" pyproject.toml -o "deploy/locks/$extra.txt"
  echo "deploy/locks/$extra.txt: $(grep -c '==' "deploy/locks/$extra.txt") packages"
done
# vLLM pins its own world (CUDA, torch): an image of its own, resolved by itself.
compile --extra llm-vllm pyproject.toml -o deploy/locks/llm-vllm.txt
echo "deploy/locks/llm-vllm.txt: $(grep -c '==' deploy/locks/llm-vllm.txt) packages"
