#!/usr/bin/env bash
# What `make start`, `stop`, `logs`, … do: on the containers where the compose stack runs, else on the local stack.
# From the Makefile: COMPOSE and ENGINE (commands), HELIX (a program), HOME_DIR, UP_ARGS, DEV, STORE, SERVICE, ON, FROM.
set -euo pipefail
cd "$(dirname "$0")/.."

ENV_FILE=deploy/.env
SERVICE_WEB=helix-web-app
WAIT=${COMPOSE_WAIT---wait}
RETIREMENT_SECONDS=150
HEALTHY_SECONDS=180
LOG=$HOME_DIR/logs/up.log

compose() {
  local store files=(--file "${COMPOSE_YML:-deploy/compose.yml}")
  store=${STORE:-$(sed -n 's/^HELIX_STORE=//p' "$ENV_FILE")}
  if [ "$store" = seaweedfs ]; then files+=(--file deploy/compose.seaweedfs.yml); fi
  if [ "$(sed -n 's/^HELIX_TLS=//p' "$ENV_FILE")" = on ]; then files+=(--file deploy/compose.tls.yml); fi
  if [ -n "${DEV:-}" ]; then files+=(--file deploy/compose.dev.yml); fi
  $COMPOSE --env-file "$ENV_FILE" "${files[@]}" "$@"
}

in_web() { compose exec -T "$SERVICE_WEB" helix "$@"; }

# Whether the compose stack is there to act on. (ON=local and ON=compose decide without looking.)
on_containers() {
  case ${ON:-} in local) return 1 ;; compose) return 0 ;; esac
  [ -f "$ENV_FILE" ] && [ -n "$(compose ps --quiet "$SERVICE_WEB" 2> /dev/null)" ]
}

# Whether there is a container engine at all: `start` and `rebuild` take it, if there is one.
has_engine() {
  case ${ON:-} in local) return 1 ;; compose) return 0 ;; esac
  $ENGINE info > /dev/null 2>&1 && $COMPOSE version > /dev/null 2>&1
}

start_containers() {
  python3 scripts/make_env.py
  compose up --detach $WAIT
}

start_local() {
  mkdir -p "$HOME_DIR/logs"
  local said=0
  if [ -f "$LOG" ]; then said=$(stat --format %s "$LOG" 2> /dev/null || stat -f %z "$LOG"); fi
  # In a session of its own: it outlives this terminal.
  "${PYTHON_BIN:-python3}" -c 'import os, sys; os.setsid(); os.execv(sys.argv[1], sys.argv[1:])' \
    "$HELIX" up --home "$HOME_DIR" ${UP_ARGS:-} >> "$LOG" 2>&1 < /dev/null &
  local pid=$!
  until tail -c "+$((said + 1))" "$LOG" | grep --max-count 1 '^HelixNet is ready'; do
    if ! kill -0 "$pid" 2> /dev/null; then
      tail -c "+$((said + 1))" "$LOG" >&2
      return 1
    fi
    sleep 0.2
  done
}

healthy() { [ "$($ENGINE inspect --format '{{.State.Health.Status}}' "$1")" = healthy ]; }

# New containers beside the old ones, and once they are healthy, the old ones retire: no request is refused.
deploy_containers() {
  compose build "$SERVICE_WEB"
  local old new all number end
  old=$(compose ps --quiet "$SERVICE_WEB")
  number=$(wc -w <<< "$old")
  compose up --detach --no-deps --no-recreate --scale "$SERVICE_WEB=$((2 * number))" "$SERVICE_WEB"
  all=$(compose ps --quiet "$SERVICE_WEB")
  new=$(comm -13 <(sort <<< "$old") <(sort <<< "$all"))
  end=$((SECONDS + HEALTHY_SECONDS))
  for container in $new; do
    until healthy "$container"; do
      if [ "$SECONDS" -gt "$end" ]; then
        echo "the new web is not healthy; the old one goes on" >&2
        $ENGINE logs --tail 50 "$container" >&2
        $ENGINE rm --force $new > /dev/null
        return 1
      fi
      sleep 1
    done
  done
  for container in $old; do
    $ENGINE stop --time "$RETIREMENT_SECONDS" "$container" > /dev/null
    $ENGINE rm "$container" > /dev/null
  done
  compose up --detach --no-deps worker beat flower
  echo "web, worker, beat and Flower run the new code"
}

# What postgres's own psql says to statements, each by itself; one that fails is the last.
postgres_does() {
  compose exec -T postgres psql --username helix --dbname postgres --no-psqlrc --quiet --set ON_ERROR_STOP=1 \
    "${@/#/--command=}" < /dev/null
}

# Objects first: their names are never used twice, so they harm nobody. The dump goes into a new database, which takes
# the name of the old one once it is whole; what fails before that changes nothing.
restore_containers() {
  local renamed=1
  in_web objects import < "$1/objects.tar"
  postgres_does "DROP DATABASE IF EXISTS helix_restored" "CREATE DATABASE helix_restored TEMPLATE template0"
  compose exec -T postgres pg_restore --username helix --dbname helix_restored --no-owner --exit-on-error \
    < "$1/database.dump"
  compose stop "$SERVICE_WEB" worker beat
  postgres_does "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'helix'" \
    "DROP DATABASE IF EXISTS helix_before_restore" \
    "ALTER DATABASE helix RENAME TO helix_before_restore; ALTER DATABASE helix_restored RENAME TO helix" \
    > /dev/null || renamed=
  start_containers
  if [ -z "$renamed" ]; then
    echo "the database is as it was" >&2
    return 1
  fi
  echo "The database is that of the dump; the one before is called helix_before_restore now."
}

restore_local() {
  local runs=
  if "$HELIX" url --home "$HOME_DIR" > /dev/null 2>&1; then runs=1; fi
  "$HELIX" objects import --home "$HOME_DIR" < "$1/objects.tar"
  if [ -n "$runs" ]; then "$HELIX" stop --home "$HOME_DIR"; fi
  "$HELIX" db restore --home "$HOME_DIR" < "$1/database.dump"
  if [ -n "$runs" ]; then start_local; fi
}

stop_it() {
  if on_containers; then compose down; else "$HELIX" stop --home "$HOME_DIR"; fi
}

case $1 in
  start) if has_engine; then start_containers; else start_local; fi ;;
  stop) stop_it ;;
  rebuild)
    stop_it || true
    if has_engine; then
      python3 scripts/make_env.py
      compose build "$SERVICE_WEB"
      start_containers
    else
      start_local
    fi
    ;;
  logs)
    if on_containers; then
      compose logs --follow --tail 200 ${SERVICE:-}
    else
      tail -n 200 -F "$HOME_DIR"/logs/*.log
    fi
    ;;
  deploy-code) if on_containers; then deploy_containers; else "$HELIX" deploy --home "$HOME_DIR"; fi ;;
  db-init) if on_containers; then in_web db init; else "$HELIX" db init --home "$HOME_DIR"; fi ;;
  seed-data) if on_containers; then in_web users seed; else "$HELIX" users seed --home "$HOME_DIR"; fi ;;
  show-users) if on_containers; then in_web users list; else "$HELIX" users list --home "$HOME_DIR"; fi ;;
  url)
    if on_containers; then
      port=$(sed -n 's/^HELIX_HTTP_PORT=//p' "$ENV_FILE")
      if [ "$(sed -n 's/^HELIX_TLS=//p' "$ENV_FILE")" = on ]; then
        echo "https://localhost:${port:-443}"
      else
        echo "http://localhost:${port:-80}"
      fi
    else
      "$HELIX" url --home "$HOME_DIR"
    fi
    ;;
  backup)
    folder=${BACKUPS:-backups}/$(date -u +%Y-%m-%dT%H%M%SZ)
    (umask 077 && mkdir -p "$folder")
    umask 077
    # The database first: every object that it names was stored before.
    if on_containers; then
      compose exec -T postgres pg_dump --username helix --format custom helix > "$folder/database.dump"
      in_web objects export > "$folder/objects.tar"
    else
      "$HELIX" db dump --home "$HOME_DIR" > "$folder/database.dump"
      "$HELIX" objects export --home "$HOME_DIR" > "$folder/objects.tar"
    fi
    ls -l "$folder"
    ;;
  restore)
    for file in database.dump objects.tar; do
      if [ ! -s "${FROM:-}/$file" ]; then
        echo "there is no ${FROM:-backups/…}/$file: make restore FROM=backups/…, a folder that make backup wrote" >&2
        exit 2
      fi
    done
    if on_containers; then restore_containers "$FROM"; else restore_local "$FROM"; fi
    ;;
  *)
    echo "stack.sh: what is '$1'?" >&2
    exit 2
    ;;
esac
