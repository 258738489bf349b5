#!/usr/bin/env bash
# Helm, as the tests have it: built from deploy/tools/helm4, whose go.sum pins all of it.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
helm=$(PYTHONPATH="$root/tests" "$root/.venv/bin/python" -c 'from support import tools; print(tools.find("helm4"))')
exec "$helm" "$@"
