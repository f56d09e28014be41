#!/usr/bin/env bash
# NAB beside published detectors, and every labelled series: events found, missed, false. SHARED=../shared by default.
set -euo pipefail
exec python3 "$(dirname "$0")/run.py" "$@"
