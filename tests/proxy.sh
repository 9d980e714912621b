#!/usr/bin/env bash
# The recipes of docs/proxy.md with the real servers: nginx and Caddy, both Debian packages.
# Usage: bash tests/proxy.sh [nginx|caddy ...]; 0 if all is right, 77 if a server is not installed.
set -euo pipefail
cd "$(dirname "$0")/.."
airreid=${AIRREID:-.venv/bin/airreid} python=${PYTHON:-.venv/bin/python}
scratch=$(mktemp -d)
children=()
trap 'for child in "${children[@]}"; do kill "$child" 2>/dev/null || true; done; wait; rm -rf "$scratch"' EXIT
export no_proxy=127.0.0.1,reid.example NO_PROXY=127.0.0.1,reid.example

fail() { echo "FAILED: $*" >&2; exit 1; }
recipe() { awk -v kind="$1" '$0 == "```" kind {inside = 1; next} $0 == "```" {inside = 0} inside' docs/proxy.md; }
free_port() { "$python" -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

until_answered() {  # URL PROCESS: waits until something answers there
    until [ "$(curl -s -o /dev/null -w '%{http_code}' "$1")" != 000 ]; do
        kill -0 "$2" 2>/dev/null || fail "$1: the server has ended: $(cat "$scratch"/*.log)"
        read -rt 0.2 <> <(:) || true
    done
}

status() {  # WANTED WORDS... : curl's status must be the wanted one
    local wanted=$1 got; shift
    got=$(curl -s -o "$scratch/answer" -w '%{http_code}' --resolve "reid.example:$port:127.0.0.1" "$@")
    [ "$got" = "$wanted" ] || fail "$server: $* answered $got, not $wanted: $(head -c 300 "$scratch/answer")"
}

try() {  # the page and the API below http://reid.example:PORT/reid/
    local site="http://reid.example:$port"
    status 301 "$site/reid"
    status 200 "$site/reid/"
    grep -q '<title>' "$scratch/answer" || fail "$server: no page"
    for file in $(grep -oE '(src|href)="[^"#]+"' "$scratch/answer" | cut -d'"' -f2); do
        case $file in /*|*://*) fail "the page asks for $file, which is not relative";; esac
        status 200 "$site/reid/$file"
    done
    status 200 "$site/reid/v1/state"
    status 201 -X PUT -H "Origin: $site" "$site/reid/v1/subjects/alice-$server"
    status 403 -X PUT -H "Origin: http://evil.example" "$site/reid/v1/subjects/mallory"
    status 403 -X PUT -H "Origin: null" "$site/reid/v1/subjects/mallory"
    status 201 -H "Origin: $site" -F "image=@$scratch/large.png" \
        "$site/reid/v1/entries?subject=alice-$server&camera=c1"
    local first  # the feed never ends: its first byte must come before the next event does
    first=$(curl -sN --resolve "reid.example:$port:127.0.0.1" --max-time 10 "$site/reid/v1/events" |
        head -c 1 || true)
    [ "$first" = r ] || fail "$server: the live feed is held back"
    status 200 "$site/reid/openapi.json"
    grep -q '"/reid"' "$scratch/answer" || fail "$server: the API's description has no server /reid"
    status 200 -X DELETE -H "Origin: $site" "$site/reid/v1/subjects/alice-$server"
    echo "$server: right"
}

serve() {  # a server with its recipe, on a port of its own, before an access point of its own
    server=$1 port=$(free_port) http=$(free_port)
    "$airreid" ap serve --data-dir "$scratch/data-$server" --grpc 127.0.0.1:0 --http "127.0.0.1:$http" \
        --public-origin "http://reid.example:$port" --root-path /reid 2>"$scratch/ap-$server.log" &
    local ap=$!
    children+=("$ap")
    local here=(-e "s/127.0.0.1:8080/127.0.0.1:$http/")
    if [ "$server" = nginx ]; then
        {
            echo "user $(id -un); daemon off; pid $scratch/nginx.pid; error_log $scratch/nginx.log; events {}"
            echo "http { access_log off; client_body_temp_path $scratch/body; proxy_temp_path $scratch/proxy;"
            echo "fastcgi_temp_path $scratch/f; uwsgi_temp_path $scratch/u; scgi_temp_path $scratch/s;"
            recipe nginx | sed "${here[@]}" -e "s/listen 80;/listen 127.0.0.1:$port;/"
            echo "}"
        } >"$scratch/nginx.conf"
        nginx -e "$scratch/nginx.log" -c "$scratch/nginx.conf" 2>>"$scratch/nginx.log" &
    else
        { printf '{\n admin off\n}\n'
          recipe caddy | sed "${here[@]}" -e "s/reid.example:80/reid.example:$port/"; } >"$scratch/Caddyfile"
        XDG_DATA_HOME=$scratch XDG_CONFIG_HOME=$scratch HOME=$scratch \
            caddy run --adapter caddyfile --config "$scratch/Caddyfile" 2>"$scratch/caddy.log" &
    fi
    local proxy=$!
    children+=("$proxy")
    until_answered "http://127.0.0.1:$port/" "$proxy"
    until grep -q '"event": "ready"' "$scratch/ap-$server.log"; do
        kill -0 "$ap" 2>/dev/null || fail "the access point has ended: $(cat "$scratch/ap-$server.log")"
        read -rt 0.2 <> <(:) || true
    done
    try
}

# Noise does not compress: 1200 x 800 pixels are 2.9 MB, above nginx's usual megabyte.
"$python" -c 'import numpy, sys; from PIL import Image
pixels = numpy.random.default_rng(1).integers(0, 256, (1200, 800, 3), dtype="uint8")
Image.fromarray(pixels).save(sys.argv[1])' "$scratch/large.png"
for name in "${@:-nginx caddy}"; do
    for each in $name; do
        command -v "$each" >/dev/null || { echo "$each: not installed" >&2; exit 77; }
        serve "$each"
    done
done
