#!/usr/bin/env bash
# Bring the compose stack up for real where there is no container engine and no registry of images, and try what it
# promises: the walk through Traefik, the make targets, new code under load, and that files survive stop and start.
# Debian, as root, some minutes and 10 GB in $TRIAL. What stands in for what is in images.sh; what is left out, in
# derive.py. It leaves nothing running; `rm -rf $TRIAL` leaves nothing at all.
set -euo pipefail
cd "$(dirname "$0")/../.."
source scripts/compose_trial/setup.sh
export HELIX_HTTP_PORT=18080 HELIX_API_PORT=18000 HELIX_FLOWER_PORT=15555 HELIX_PGADMIN_PORT=15050 ON=compose
URL=http://127.0.0.1:$HELIX_HTTP_PORT
PYTHON=.venv/bin/python
REPORT=$TRIAL/report.txt

# What comes out, which has to match a pattern of the shell; the trial goes on, and fails at its end.
expect() { # WHAT FOUND PATTERN
  # shellcheck disable=SC2053 # it is a pattern
  if [[ $2 == $3 ]]; then say "$1: $2"; else say "FAILED: $1: $2, not $3"; fi
}
say() { echo "$(date -u +%T) $*" | tee -a "$REPORT"; }
do_make() {
  local began=$SECONDS
  make --no-print-directory "$@" >> "$TRIAL/make.log" 2>&1 || { say "FAILED: make $*"; tail -40 "$TRIAL/make.log"; podman logs --tail 40 helixnet_worker_1 2>&1 | tee "$TRIAL/worker.log"; exit 1; }
  say "make $*: $((SECONDS - began)) s"
}

missing=$(for package in $PACKAGES; do dpkg --status "$package" > /dev/null 2>&1 || echo "$package"; done)
if [ -n "$missing" ]; then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends $missing > /dev/null
fi
: > "$REPORT"
# BUILT=1: with the images of the last time.
[ -n "${BUILT:-}" ] || bash scripts/compose_trial/images.sh 2>&1 | tee -a "$TRIAL/images.log" | grep -E "image was built|helixnet" | tee -a "$REPORT"
$PYTHON scripts/compose_trial/derive.py "$COMPOSE_YML"
# Those of an earlier trial are locked with the passwords that the clone of then made up.
podman volume ls --quiet --filter name=^helixnet_ | xargs --no-run-if-empty podman volume rm --force > /dev/null

podman system service --time=0 "$DOCKER_HOST" > "$TRIAL/podman.log" 2>&1 &
service=$!
# Without systemd nobody runs the health checks.
(
  while sleep 2; do
    for container in $(podman ps --quiet); do podman healthcheck run "$container" > /dev/null 2>&1 || true; done
  done
) &
checks=$!
finish() {
  make --no-print-directory stop >> "$TRIAL/make.log" 2>&1 || true
  kill "$checks" "$service" 2> /dev/null || true
}
trap finish EXIT
until podman --remote --url "$DOCKER_HOST" info > /dev/null 2>&1; do sleep 0.2; done

do_make start
podman ps --format '{{.Names}} {{.Status}}' | tee -a "$REPORT"
expect "user of the web" "$(podman exec helixnet_helix-web-app_1 id)" "uid=10001(helix) gid=10001(helix)*"
expect "what writing to its file system says" "$(podman exec helixnet_helix-web-app_1 touch /app/written 2>&1)" \
  "*Read-only file system*"
do_make db-init
do_make seed-data
do_make show-users
do_make smoke URL=$URL
expect "Flower without a password" "$(curl --silent --output /dev/null --write-out '%{http_code}' http://127.0.0.1:$HELIX_FLOWER_PORT/workers)" 401
expect "pgAdmin" "$(curl --silent --location --output /dev/null --write-out '%{http_code}' http://127.0.0.1:$HELIX_PGADMIN_PORT/login)" 200
expect "published" "$(podman ps --format '{{.Names}} {{.Ports}}' | grep -- '->' | cut -d' ' -f1 | sort -u)" \
  helixnet_traefik_1

$PYTHON scripts/compose_trial/load.py "$URL" "$TRIAL/load.stop" > "$TRIAL/load.txt" 2>&1 &
load=$!
# Another image under the same name, as after a change of the code.
bash -c 'source scripts/compose_trial/setup.sh; build "$IMAGE" deploy/Dockerfile . --label trial=again' >> "$TRIAL/images.log" 2>&1
do_make deploy-code
touch "$TRIAL/load.stop"
wait "$load" && say "under load: $(cat "$TRIAL/load.txt")" || say "FAILED: under load: $(cat "$TRIAL/load.txt")"
rm -f "$TRIAL/load.stop"

kept=$($PYTHON scripts/compose_trial/keep.py "$URL" put)
do_make stop
do_make start
expect "after stop and start" "$($PYTHON scripts/compose_trial/keep.py "$URL" "$kept" 2>&1)" "*read again: COMPLETED"
timeout 5 make --no-print-directory logs SERVICE=worker > "$TRIAL/logs.txt" 2>&1 || true
expect "lines of make logs that tell of jobs" "$(grep -c 'status updated' "$TRIAL/logs.txt")" "[1-9]*"
rm -rf "$TRIAL/backups"
do_make backup BACKUPS="$TRIAL/backups"
lost=$($PYTHON scripts/compose_trial/keep.py "$URL" put)
do_make restore FROM="$(echo "$TRIAL"/backups/*)"
expect "after restore" "$($PYTHON scripts/compose_trial/keep.py "$URL" "$kept" 2>&1)" "*read again: COMPLETED"
expect "what came after the backup" "$($PYTHON scripts/compose_trial/keep.py "$URL" "$lost" 2>&1 | tail -1)" "*404*"
do_make rebuild
do_make smoke URL=$URL
say "image: $(podman image inspect --format '{{.Size}} bytes, user {{.User}}' "$IMAGE")"
do_make stop
expect "containers that run still" "$(podman ps --quiet | wc -l)" 0
if grep FAILED "$REPORT"; then exit 1; fi
