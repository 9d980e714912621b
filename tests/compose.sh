#!/usr/bin/env bash
# Brings the whole system up in containers, twice, and checks what a user would.
#
#   bash tests/compose.sh
#
# Needs docker and docker-compose. Uses a project of its own and removes all of it,
# volumes included, however it ends.
set -euo pipefail
cd "$(dirname "$0")/.."
export COMPOSE_PROJECT_NAME=airreid-test-$$
export AIRREID_HTTP_PORT=${AIRREID_HTTP_PORT:-18080} AIRREID_CHANNEL_PORT=${AIRREID_CHANNEL_PORT:-15051}
running="accesspoint channel edge-2 edge-3"

say() { echo "compose.sh: $*"; }
fail() {
    say "FAILED: $*" >&2
    docker-compose logs --tail 20 >&2 || true
    exit 1
}
trap 'docker-compose down --volumes --timeout 5 >/dev/null 2>&1' EXIT

docker-compose --profile monitoring config --quiet || fail "the monitoring profile does not parse"

say "up until the one-shot edge ends"
docker-compose up --build --exit-code-from edge || fail "the one-shot edge ended with $?"

say "up again, detached, on the same volumes"
docker-compose up --detach
for service in $running; do
    id=$(docker-compose ps -q "$service")
    for _ in $(seq 60); do
        [ "$(docker inspect -f '{{.State.Health.Status}}' "$id")" = healthy ] && break
        sleep 1
    done
    [ "$(docker inspect -f '{{.State.Health.Status}}' "$id")" = healthy ] || fail "$service is not healthy"
    [ "$(docker inspect -f '{{.HostConfig.ReadonlyRootfs}}' "$id")" = true ] || fail "$service can write its root"
    [ "$(docker exec "$id" id -u)" != 0 ] || fail "$service runs as root"
    [ "$(docker inspect -f '{{.HostConfig.Memory}}' "$id")" != 0 ] || fail "$service has no memory limit"
    docker exec "$id" sh -c 'echo > /written' 2>/dev/null && fail "$service wrote into /"
    say "$service: healthy, not root, read-only"
done

code=$(docker wait "$(docker-compose ps -q edge)")
[ "$code" = 0 ] || fail "the second one-shot edge ended with $code"
for edge in edge-2 edge-3; do
    answered=$(docker-compose exec -T "$edge" airreid edge log --spool /spool --last 500 |
        grep -c ' answered ' || true)
    [ "$answered" -ge 10 ] || fail "$edge has $answered answered frames in its log"
    say "$edge: $answered answered frames in its log"
done
links=$(docker-compose exec -T channel airreid channel links --to 127.0.0.1:50051)
echo "$links"
echo "$links" | grep edge-2 >/dev/null || fail "edge-2 has no link of its own"
say "passed"
