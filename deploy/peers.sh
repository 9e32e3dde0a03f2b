#!/usr/bin/env bash
# Install the peers that tests call the stack with: SIPp, Debian's baresip, Chromium. Needs Debian or Ubuntu and root
# (or sudo without a password); anywhere else it says what is missing, and the tests that need it are skipped by name.
set -u
declare -A packages=([sipp]=sip-tester [baresip]=baresip-core [chromium]=chromium)
missing=()
for program in "${!packages[@]}"; do
  command -v "$program" >/dev/null || missing+=("${packages[$program]}")
done
[ ${#missing[@]} -eq 0 ] && exit 0
run=()
if [ "$(id -u)" -ne 0 ]; then
  if sudo -n true 2>/dev/null; then run=(sudo -n); else
    echo "peers: not installed (no root): ${missing[*]}. Tests that need them will be skipped."
    exit 0
  fi
fi
command -v apt-get >/dev/null || { echo "peers: no apt-get; install by hand: ${missing[*]}"; exit 0; }
echo "peers: installing ${missing[*]}…"
"${run[@]}" apt-get update -qq >/dev/null 2>&1
DEBIAN_FRONTEND=noninteractive "${run[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null 2>&1 ||
  echo "peers: could not install ${missing[*]}; tests that need them will be skipped."
exit 0
