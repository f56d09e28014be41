#!/usr/bin/env bash
# The peers of `make bench-drift` in target/drift/peers, and the vectors. alibi-detect asks for older packages than there
# are for this Python, so its dependencies are named here; it runs with the newer ones. torch only with PLIMSOLL_TORCH=1.
set -euo pipefail
cd "$(dirname "$0")/../../.."
tests/bench/drift/setup_vectors.sh || echo 'no vectors: is ../shared there?'
venv=target/drift/peers
pip="$venv/bin/pip --disable-pip-version-check -q install"
[ -x $venv/bin/pip ] || python3 -m venv $venv
$pip river numpy scipy numba scikit-learn pandas dill toml catalogue tqdm requests pydantic \
  Pillow typing-extensions transformers
$pip --no-deps alibi-detect==0.13.0
[ "${PLIMSOLL_TORCH:-0}" = 1 ] && $pip torch
exit 0
