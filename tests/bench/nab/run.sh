#!/usr/bin/env bash
# NAB beside published detectors.
set -euo pipefail
exec python3 "$(dirname "$0")/run.py" "$@"
