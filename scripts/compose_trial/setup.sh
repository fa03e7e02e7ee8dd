# Sourced: the engine of the trial. Podman without systemd, with storage, networks and sockets of its own in $TRIAL.
TRIAL=${TRIAL:-/tmp/helix-trial}
BASE=docker.io/library/python:3.11-slim-bookworm
SUITE=bookworm
IMAGE=docker.io/library/helixnet:1.3.0
PACKAGES="buildah podman runc debootstrap netavark aardvark-dns catatonit docker-compose iptables"

mkdir -p "$TRIAL"
cat > "$TRIAL/containers.conf" <<CONF
[containers]
default_ulimits=["nofile=16384:16384","nproc=4096:4096"]
[engine]
runtime="runc"
cgroup_manager="cgroupfs"
events_logger="file"
image_default_transport="docker://"
[network]
network_backend="netavark"
CONF
cat > "$TRIAL/storage.conf" <<CONF
[storage]
driver="vfs"
graphroot="$TRIAL/storage"
runroot="$TRIAL/run"
CONF
cat > "$TRIAL/registries.conf" <<CONF
unqualified-search-registries=["docker.io"]
short-name-mode="disabled"
CONF
export CONTAINERS_CONF=$TRIAL/containers.conf CONTAINERS_STORAGE_CONF=$TRIAL/storage.conf
export CONTAINERS_REGISTRIES_CONF=$TRIAL/registries.conf
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
# The file that compose is given here, and how it is called: see derive.py.
export COMPOSE_YML=$TRIAL/compose.yml
export DOCKER_HOST=unix://$TRIAL/podman.sock
export COMPOSE="docker-compose --project-name helixnet --project-directory $PWD/deploy" ENGINE=podman COMPOSE_WAIT=

# Podman stops one container after another, and the last waits for all the others.
export COMPOSE_HTTP_TIMEOUT=300

build() { # TAG DOCKERFILE CONTEXT [MORE…]
  buildah bud --pull-never --isolation chroot --network host --format docker --layers=false \
    --volume /etc/ssl/certs:/etc/ssl/certs:ro --tag "$1" --file "$2" "${@:4}" "$3"
}
