#!/usr/bin/env bash
# CPU and memory of 1 000 rules and of range queries beside Prometheus. SERIES="1000 10000" and SECONDS_MEASURED=60 by default.
set -euo pipefail
exec python3 "$(dirname "$0")/run.py"
