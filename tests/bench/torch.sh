#!/usr/bin/env bash
# A virtual environment with torch, unless its modules are there already: torch.sh VENV MODULES PACKAGE...
# PLIMSOLL_TORCH_INDEX may name an index of CPU wheels; PyPI's own torch takes several gigabytes.
set -euo pipefail
venv=$1 modules=$2
shift 2
[ -x "$venv/bin/pip" ] || python3 -m venv "$venv"
if ! "$venv/bin/python" -c "import torch, $modules" 2>/dev/null; then
  pip="$venv/bin/python -m pip --disable-pip-version-check -q install"
  $pip ${PLIMSOLL_TORCH_INDEX:+--index-url "$PLIMSOLL_TORCH_INDEX"} torch
  $pip numpy "$@"
fi
