#!/usr/bin/env bash
# Runs the package for Kubeflow for real on this machine: one container per task, MariaDB for the metadata. Run by
# `make e2e-kubeflow`. Installs what it needs, as root, with apt-get; leaves only the image behind.
#
#   IMAGE=name:tag   run this image instead of building one
#   KEEP=1           keep the folder with models, artifacts and logs
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/containers.sh
. scripts/containers.sh
VENV=${VENV:-.venv}

# kfp's local runner speaks Docker's protocol, which podman's service answers; where it listens is this run's own.
use_podman
PATH=$PATH:/usr/sbin
need mariadbd=mariadb-server-core my_print_defaults=mariadb-client-core
if [ -z "${IMAGE:-}" ]; then
  SKIP_TESTS=1 ENGINE=podman scripts/image.sh
  IMAGE=localhost/fashion-pipeline:latest
fi

work=$(mktemp -d /var/tmp/fashion-e2e.XXXXXX)
services=()
cleanup() {
  podman ps --all --quiet --filter label=fashion-e2e="$work" | xargs --no-run-if-empty podman rm --force >/dev/null || true
  [ ${#services[@]} = 0 ] || { kill "${services[@]}" 2>/dev/null && wait "${services[@]}"; } || true
  if [ -n "${KEEP:-}" ]; then say "kept $work"; else rm -rf "$work"; fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

wait_for() { # SOCKET WHAT
  for _ in $(seq 100); do [ ! -S "$1" ] || return 0; sleep 0.2; done
  tail -n 5 "$work"/*.log >&2
  fail "$2 did not start: see above"
}

start_database() {
  local user=() owner
  owner=$(id -un)
  # MariaDB refuses to run as root.
  if [ "$owner" = root ]; then
    owner=mysql user=(--user=mysql)
    getent passwd mysql >/dev/null || useradd --system mysql
  fi
  chmod 755 "$work"
  mkdir "$work/database" "$work/tmp"
  FASHION_METADATA_PASSWORD=$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')
  export FASHION_METADATA_PASSWORD
  (umask 077; cat >"$work/init.sql" <<END
CREATE DATABASE fashion;
CREATE USER fashion@'%' IDENTIFIED BY '$FASHION_METADATA_PASSWORD';
GRANT ALL ON fashion.* TO fashion@'%';
END
  )
  chown "$owner" "$work/database" "$work/tmp" "$work/init.sql"
  TMPDIR=$work/tmp mariadb-install-db --no-defaults "${user[@]}" --datadir="$work/database" --skip-test-db >"$work/install-db.log" 2>&1 ||
    { grep -m 5 ERROR "$work/install-db.log" >&2; fail "MariaDB could not be set up: see above"; }
  PORT=$("$VENV/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  TMPDIR=$work/tmp mariadbd --no-defaults "${user[@]}" --datadir="$work/database" --socket="$work/tmp/mariadb.sock" --port="$PORT" \
    --bind-address=127.0.0.1 --skip-name-resolve --init-file="$work/init.sql" >"$work/mariadb.log" 2>&1 &
  services+=($!)
  wait_for "$work/tmp/mariadb.sock" MariaDB
}

start_database
podman system service --time 0 "unix://$work/podman.sock" >"$work/podman.log" 2>&1 &
services+=($!)
wait_for "$work/podman.sock" "podman's service"
say "image $IMAGE, $("$(command -v mariadbd)" --version | sed -E 's/.*Ver ([^ ]*).*/MariaDB \1/'), podman $(podman --version | cut -d ' ' -f 3)"
DOCKER_HOST=unix://$work/podman.sock "$VENV/bin/python" scripts/e2e_kubeflow.py \
  "$work" "$IMAGE" "mysql://fashion@127.0.0.1:$PORT/fashion"
