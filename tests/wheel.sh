#!/usr/bin/env bash
# A camera installed from a wheel, outside any checkout: it has a model and says what is missing.
#
#   bash tests/wheel.sh
#
# Needs git and the package index. What is installed goes into a scratch folder, removed at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
git clone --quiet . "$scratch/checkout"
"${PYTHON:-python3}" -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet --disable-pip-version-check "$scratch/checkout[edge]"
rm -rf "$scratch/checkout"
cd "$scratch"
venv/bin/airreid bundle verify

refused() { # TEXT COMMAND...: the command fails, and says the text
    local said
    if said=$("${@:2}" 2>&1) || ! grep -q "$1" <<< "$said"; then
        echo "wheel.sh: FAILED: ${*:2}: $said" >&2
        exit 1
    fi
}

refused "install AirReID with the extra simulate" venv/bin/airreid simulate
refused "no bundle at none" env AIRREID_BUNDLE=none venv/bin/airreid bundle verify
rm -r venv/share/airreid
refused "export AIRREID_BUNDLE=CHECKOUT/models/demo" venv/bin/airreid bundle verify
echo "wheel.sh: a wheel has its model"
