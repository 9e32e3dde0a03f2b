#!/usr/bin/env bash
# Prove that each service runs from its own lock alone: a fresh environment per lock, the service's --help in it.
# What an image would install is what is tested here, without a container engine. Needs a few hundred MB per service.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for pair in vad:vad asr:asr llm:llm-cpu tts:tts telephony:telephony orchestrator:orchestrator; do
  service=${pair%%:*} lock=${pair#*:}
  "${PYTHON:-python3.11}" -m venv "$work/env"
  "$work/env/bin/pip" install --quiet --require-hashes -r "deploy/locks/$lock.txt"
  "$work/env/bin/python" -c "import services.$service.server" 2>/dev/null || "$work/env/bin/python" -c "import services.$service.__main__"
  "$work/env/bin/python" -m "services.$service" --help >/dev/null
  echo "$service runs from deploy/locks/$lock.txt ($(du -sm "$work/env" | cut -f1) MB)"
  rm -rf "$work/env"
done
