#!/usr/bin/env bash
# The notes of a release: what the changelog says of the version, then what was published. The digests come from the
# environment, IMAGE_DIGEST, STT_DIGEST and CHART_DIGEST; they are what is verified: docs/releasing.md.
set -euo pipefail
version=${1:?usage: notes.sh VERSION}
: "${IMAGE_DIGEST:?}" "${STT_DIGEST:?}" "${CHART_DIGEST:?}"
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

said=$(awk -v heading="## [$version]" 'index($0, "## [") == 1 { inside = index($0, heading) == 1; next } inside' CHANGELOG.md)
[[ -n $said ]] || { echo "CHANGELOG.md has no section [$version]." >&2; exit 1; }
cat <<NOTES
$said

| published | digest |
|---|---|
| \`ghcr.io/agora-transcription/agora-transcription:$version\` | \`$IMAGE_DIGEST\` |
| \`ghcr.io/agora-transcription/agora-transcription:$version-stt\` | \`$STT_DIGEST\` |
| \`oci://ghcr.io/agora-transcription/charts/agora-transcription\`, version $version | \`$CHART_DIGEST\` |
NOTES
