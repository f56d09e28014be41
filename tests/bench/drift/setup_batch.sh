#!/usr/bin/env bash
# The peers of `make bench-drift-batch`, from PyPI into target/venv-drift; alibi-detect (with torch) only when ALIBI=1.
# evidently 0.7 does not start with pandas 3.
set -euo pipefail
cd "$(dirname "$0")/../../.."
venv=target/venv-drift
[ -e $venv/ok ] && exit 0
python3 -m venv $venv
$venv/bin/pip --disable-pip-version-check -q install numpy 'pandas<3' scipy evidently
if [ "${ALIBI:-0}" = 1 ]; then $venv/bin/pip --disable-pip-version-check -q install 'alibi-detect[torch]'; fi
touch $venv/ok
