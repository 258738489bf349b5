#!/usr/bin/env bash
# Fails if one of these images or charts is published, or if its registry does not tell: unpublished.sh REFERENCE...
# A registry would take another one under the same tag without a word, and what is signed by its digest would be replaced.
set -euo pipefail
for reference in "${@:?usage: unpublished.sh REFERENCE...}"; do
  if said=$(docker buildx imagetools inspect --raw "$reference" 2>&1); then
    echo "$reference is published already; what has to be mended becomes the next version." >&2
    exit 1
  fi
  # Anything else, as a login that has failed, says nothing of what is there.
  if [[ $said != *"$reference: not found" ]]; then
    echo "Whether $reference is published is not known: $said" >&2
    exit 1
  fi
done
