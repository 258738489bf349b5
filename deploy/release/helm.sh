#!/usr/bin/env bash
# Helm, as the tests have it: built from deploy/tools/helm4, whose go.sum pins all of it. It needs the .venv of make.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
[[ -x $root/.venv/bin/python ]] || { echo "helm.sh: there is no .venv: run 'make tools' first." >&2; exit 1; }
helm=$(PYTHONPATH="$root/tests" "$root/.venv/bin/python" -c 'from support import tools; print(tools.find("helm4"))')
exec "$helm" "$@"
