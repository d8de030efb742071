#!/usr/bin/env bash
# Builds the image, with docker where its engine answers and else with podman. Run by `make image`.
#
#   TARGET=cpu                the stage of the Dockerfile: cpu or gpu
#   ENGINE=docker             or podman
#   IMAGE=fashion-pipeline    its name; the version and "latest", for gpu with "-gpu", become its tags
#   SKIP_TESTS=1              do not start it to test it
#   PIP_CONFIG_FILE, PIP_CERT pip's settings and certificates, where they are set; they do not get into the image
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/containers.sh
. scripts/containers.sh

TARGET=${TARGET:-cpu}
IMAGE=${IMAGE:-fashion-pipeline}
BASE=$(sed -n 's/^FROM \([^ ]*\) AS base$/\1/p' Dockerfile)
version=$(sed -n 's/^ *version="\(.*\)",$/\1/p' setup.py)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
[ -z "$(git status --porcelain 2>/dev/null)" ] || revision+=-changed

ENGINE=${ENGINE:-$(if docker info >/dev/null 2>&1; then echo docker; else echo podman; fi)}
if [ "$ENGINE" = podman ]; then
  use_podman
  podman image exists "$BASE" || timeout 120 podman pull --quiet "$BASE" >/dev/null 2>&1 || make_base "$BASE"
fi

suffix=""
[ "$TARGET" = cpu ] || suffix=-$TARGET
arguments=(--target "$TARGET" --network host --build-arg "VERSION=$version" --build-arg "REVISION=$revision"
  --tag "$IMAGE:$version$suffix" --tag "$IMAGE:latest$suffix")
[ -z "${PIP_CONFIG_FILE:-}" ] || arguments+=(--secret "id=pip.conf,src=$PIP_CONFIG_FILE")
[ -z "${PIP_CERT:-}" ] || arguments+=(--secret "id=ca.crt,src=$PIP_CERT")
log=$(mktemp)
say "building $IMAGE:$version$suffix with $ENGINE (some minutes; log $log)"
"$ENGINE" build "${arguments[@]}" . >"$log" 2>&1 || { tail -n 20 "$log" >&2; fail "the build failed: see above"; }
rm "$log"
size=$("$ENGINE" image inspect --format '{{.Size}}' "$IMAGE:$version$suffix")
say "$IMAGE:$version$suffix: $((size / 1000000)) MB uncompressed"

# Containers are started to see what is in them, and how it behaves.
if [ -z "${SKIP_TESTS:-}" ] && [ "$TARGET" = cpu ]; then
  ENGINE=$ENGINE FASHION_IMAGE=$IMAGE:$version "${VENV:-.venv}/bin/python" -m pytest -q tests/test_image.py
fi
