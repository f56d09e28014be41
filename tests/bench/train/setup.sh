#!/usr/bin/env bash
# target/train/venv: torch, transformers and PEFT, to compare training with. PLIMSOLL_TORCH_INDEX may name an index of CPU
# wheels; PyPI's own torch takes several gigabytes.
set -euo pipefail
cd "$(dirname "$0")/../../.."
venv=target/train/venv
[ -x $venv/bin/pip ] || python3 -m venv $venv
if ! $venv/bin/python -c 'import peft, safetensors, torch, transformers' 2>/dev/null; then
  pip="$venv/bin/pip --disable-pip-version-check -q install"
  $pip ${PLIMSOLL_TORCH_INDEX:+--index-url "$PLIMSOLL_TORCH_INDEX"} torch
  $pip numpy transformers peft safetensors
fi
