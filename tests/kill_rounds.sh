#!/usr/bin/env bash
# Repeats the kill suites until at least so many kills are done, 1000 if not given:
#   nice tests/kill_rounds.sh 1000 build/kills
# Each pass kills the gallery 200 times, the edge 50 times, and every role in turn 50 times.
set -euo pipefail
cd "$(dirname "$0")/.."
wanted=${1:-1000} folder=${2:-build/kills} kills=0
mkdir -p "$folder"
tests=(
    "200 tests/accesspoint/gallery/test_kill.py::test_200_kills_lose_nothing_and_bring_nothing_back"
    "50 tests/edge/test_processes.py::test_killing_the_edge_fifty_times"
    "50 tests/edge/test_processes.py::test_killing_every_role_in_turn"
)
while [ "$kills" -lt "$wanted" ]; do
    for line in "${tests[@]}"; do
        read -r count test <<<"$line"
        .venv/bin/pytest -q -m slow "$test" --basetemp "$folder/files" >"$folder/last.log" 2>&1 || {
            echo "failed after $kills kills: $folder/last.log"
            exit 1
        }
        kills=$((kills + count))
        echo "$kills kills, nothing lost" | tee "$folder/count"
    done
done
