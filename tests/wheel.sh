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
if venv/bin/airreid simulate 2> "$scratch/said"; then
    echo "wheel.sh: FAILED: simulate runs without its packages" >&2
    exit 1
fi
grep -q "install AirReID with the extra" "$scratch/said"
AIRREID_BUNDLE=$scratch/none venv/bin/airreid bundle verify 2>&1 | grep -q "no bundle at $scratch/none"
rm -r venv/share/airreid
venv/bin/airreid bundle verify 2>&1 | grep -q "export AIRREID_BUNDLE=CHECKOUT/models/demo"
echo "wheel.sh: a wheel has its model"
