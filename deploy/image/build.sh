#!/usr/bin/env bash
# Builds the image for this machine's architecture: `make image`. From the environment: IMAGE, VERSION, BASE, BUILDER, and
# BUILD_FLAGS, which are given to the builder as they are.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

fail() { echo "make image: $*" >&2; exit 1; }

builder() {
  for candidate in docker podman buildah; do
    # Docker's command is often there without its engine, and then it builds nothing.
    if command -v "$candidate" >/dev/null && { [[ $candidate != docker ]] || docker info >/dev/null 2>&1; }; then
      echo "$candidate"
      return
    fi
  done
  fail "no builder: it needs Docker with its engine running, Podman, or Buildah."
}

: "${IMAGE:?make image sets it}" "${VERSION:?make image sets it}"
BUILDER=${BUILDER:-$(builder)}
command -v "$BUILDER" >/dev/null || fail "there is no command BUILDER=$BUILDER: docker, podman and buildah are known."

# The same commit makes the same files: its time stands for the time of the build.
epoch=$(git log -1 --format=%ct 2>/dev/null || echo 0)
arguments=(
  --file deploy/image/Dockerfile
  --tag "$IMAGE"
  --build-arg "SOURCE_DATE_EPOCH=$epoch"
  --build-arg "VERSION=$VERSION"
  --build-arg "REVISION=$(git rev-parse HEAD 2>/dev/null || echo unknown)"
  --build-arg "CREATED=$(TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd 2>/dev/null || echo unknown)"
)
[[ -z ${BASE:-} ]] || arguments+=(--build-arg "BASE=$BASE")
case $BUILDER in
  docker) ;;
  podman | buildah) arguments+=(--layers --timestamp "$epoch") ;;
  *) fail "BUILDER=$BUILDER is not known: docker, podman and buildah are." ;;
esac
read -ra flags <<<"${BUILD_FLAGS:-}"

echo "Building $IMAGE with $BUILDER ..."
"$BUILDER" build "${arguments[@]}" ${flags[@]+"${flags[@]}"} .
