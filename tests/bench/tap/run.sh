#!/bin/bash
# The tap against direct and nginx; see run.py. Needs: cargo build --release -p plimsoll-agent -p plimsoll-tests --examples
set -euo pipefail
exec python3 "$(dirname "$0")/run.py" "$@"
