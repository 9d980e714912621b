#!/usr/bin/env bash
# README's commands, pasted top to bottom in a clean clone: each must work, and say what README says.
#
#   bash tests/readme.sh
#
# Needs git, make, curl and the package index, and the ports 8080, 50050 to 50052. What is installed
# goes into the clone, which is removed at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
git clone --quiet . "$scratch/airreid"
cd "$scratch/airreid"
python3 -u - <<'EOF'
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

SECTIONS = ("", "Run the parts yourself")
"""Headings whose commands are run; the others need networks or data of the reader's own."""
SAYS = {
    "airreid people": r"40 gallery images, 60 queries of 20 people",
    "airreid gallery enroll": r"40 images|40 of 40",
    "airreid edge send": r"(?m)^person-0003/cam-1/00\.png +analog +\+5 dB .* ms  (no decision|match)",
    "airreid gallery search": r"person-0003",
    "curl 127.0.0.1:8080/v1/subjects": r'"alice"',
    "curl -F": r'"id": ?41',
    "curl -X DELETE": r'"entries": ?1',
}
"""Beginnings of commands, and what their output must hold."""
CLOSE = 0.02
"""Accuracies differ by so much between processors: int8 is not the same on all."""
CLOSE_USES = 0.05
"""Share by which mean channel uses may differ, for the same reason."""
services = []


def fail(text):
    sys.exit(f"readme.sh: FAILED: {text}")


def blocks():
    """Yields the lines of README's fenced blocks in the sections."""
    heading, fence, lines = "", False, []
    for line in Path("README.md").read_text().splitlines():
        if line.startswith("```"):
            fence = not fence
            if not fence and heading in SECTIONS:
                yield lines
            lines = []
        elif fence:
            lines.append(line)
        elif line.startswith("## "):
            heading = line[3:]


def run(command):
    print(f"$ {command}", flush=True)
    if command.rstrip().endswith("&"):
        words = command.rstrip()[:-1]
        services.append(subprocess.Popen(["bash", "-c", f"exec {words}"], start_new_session=True))
        return ""
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    if result.returncode:
        fail(f"{command}: exit code {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout


def table(text):
    """Rows of the demo's table: (scheme, link, SNR) -> B and the other columns."""
    rows = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 12 and words[1] in ("analog", "ideal", "coded"):
            rows[words[0], words[1], words[3]] = [words[2], *words[4:]]
    return rows


def compare(shown, measured):
    if len(shown) < 10:
        fail("README has no table of the demo")
    for key, row in shown.items():
        if key not in measured:
            fail(f"the demo has no row {' '.join(key)}")
        if abs(float(row[0]) / float(measured[key][0]) - 1) > CLOSE_USES:
            fail(f"{' '.join(key)}: README has {row[0]} uses, the demo {measured[key][0]}")
        for place in (1, 3, 4):  # top-1, its interval apart, top-5, mAP
            if abs(float(row[place]) - float(measured[key][place])) > CLOSE:
                fail(f"{' '.join(key)}: README has {row[place]}, the demo {measured[key][place]}")
        if row[-1] != measured[key][-1]:
            fail(f"{' '.join(key)}: README has {row[-1]} identical rankings, not {measured[key][-1]}")


def main():
    for port in (8080, 50050, 50051, 50052):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                fail(f"port {port} is in use; README's commands need it")
    shown, ran = table(Path("README.md").read_text()), 0
    for lines in blocks():
        if table("\n".join(lines)):
            continue
        for line in lines:
            command = re.sub(r"\s+#.*$", "", line)
            if not command.strip():
                continue
            output = run(command)
            ran += 1
            if command == "make demo":
                compare(shown, table(output))
            for start, words in SAYS.items():
                if command.removeprefix(".venv/bin/").startswith(start):
                    if not re.search(words, output):
                        fail(f"{command}: says\n{output}")
    if ran < 12:
        fail(f"only {ran} commands found in README")
    print(f"readme.sh: {ran} commands right")


try:
    main()
finally:
    for service in services:
        try:
            os.killpg(service.pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
    for service in services:
        service.wait(30)
EOF
