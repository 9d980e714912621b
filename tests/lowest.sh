#!/usr/bin/env bash
# The lowest versions that pyproject.toml declares, by themselves and together: do they work?
#
#   bash tests/lowest.sh              # or make lowest; PYTHON=python3.12 for another Python
#
# Needs the package index and 6 GB below build/lowest. Each extra of a role is installed alone and
# one command of it run; then all of them, and a part of the tests. Last, no package may lack wheels
# for a Python that the classifiers name.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
build=build/lowest
uv=$build/tools/bin/uv
export OMP_NUM_THREADS=1 UV_LINK_MODE=${UV_LINK_MODE:-copy}
if [ ! -x "$uv" ]; then
    "$python" -m venv "$build/tools"
    "$build/tools/bin/pip" install --quiet --disable-pip-version-check uv
fi

install() { # EXTRAS
    rm -rf "$build/venv"
    "$uv" venv --quiet --python "$python" "$build/venv"
    "$uv" pip install --quiet --python "$build/venv/bin/python" --resolution lowest-direct -e ".[$1]"
}

alone() { # EXTRA COMMAND...
    install "$1"
    "$build/venv/bin/airreid" "${@:2}" > /dev/null
    echo "lowest.sh: $1: right"
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
alone edge bundle verify
alone channel channel serve --help
alone accesspoint ap token list --data-dir "$scratch/data"
alone simulate simulate --identities 4 --scheme jscc-ae-64 --snr 10 --report "$scratch/report"
alone evaluate data forms

install "simulate,evaluate,milvus,heif,training,timm,efficientnet-lite,dev"
# Old packages warn of what newer ones below them have deprecated; that is theirs to mend.
"$build/venv/bin/pytest" -W ignore::DeprecationWarning -W ignore::PendingDeprecationWarning \
    -p no:cacheprovider \
    tests/airreid/digital tests/airreid/evaluation tests/airreid/adopt tests/airreid/test_images.py \
    tests/airreid/test_image_formats.py tests/airreid/test_image_colours.py \
    tests/accesspoint/gallery tests/accesspoint/api tests/accesspoint/receiver tests/channel_sim \
    tests/edge tests/system/test_wire.py tests/training/test_onnx_network.py \
    tests/training/test_export_digital.py tests/training/test_timm.py "$@"

for version in $(grep -o 'Python :: 3\.[0-9]*' pyproject.toml | cut -d' ' -f3); do
    for extras in "--extra simulate --extra evaluate" "--extra milvus --extra heif" \
        "--extra training --extra timm"; do
        # shellcheck disable=SC2086
        "$uv" pip compile --quiet --python-version "$version" --only-binary :all: $extras \
            pyproject.toml > /dev/null
    done
    "$uv" pip compile --quiet --python-version "$version" --only-binary :all: --extra edge \
        --python-platform aarch64-unknown-linux-gnu pyproject.toml > /dev/null
    echo "lowest.sh: Python $version: wheels for all"
done
