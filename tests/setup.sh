#!/usr/bin/env bash
# Installs what the end-to-end tests need, says so, and goes on with a clear line where it may not.
#   Debian: prometheus, prometheus-alertmanager, nginx-light, postgresql, gcc        PyPI (into target/venv): xllamacpp, gguf, openai
set -euo pipefail
cd "$(dirname "$0")/.."

need=()
for pair in prometheus:prometheus promtool:prometheus prometheus-alertmanager:prometheus-alertmanager \
            nginx:nginx-light cc:gcc python3:python3; do
  command -v "${pair%%:*}" >/dev/null || [ -x "/usr/sbin/${pair%%:*}" ] || need+=("${pair##*:}")
done
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || need+=(postgresql)
python3 -c 'import ensurepip' 2>/dev/null || need+=(python3-venv)
if [ ${#need[@]} -gt 0 ]; then
  mapfile -t need < <(printf '%s\n' "${need[@]}" | sort -u)
  root=(); [ "$(id -u)" = 0 ] || root=(sudo -n)
  echo "setup: installing Debian packages: ${need[*]}"
  if ! { "${root[@]}" apt-get update -qq &&
         DEBIAN_FRONTEND=noninteractive "${root[@]}" apt-get install -y -qq --no-install-recommends "${need[@]}"; } >target-apt.log 2>&1; then
    tail -n 3 target-apt.log
    echo "setup: SKIPPED: cannot install ${need[*]} here; the tests that need them say so and are skipped"
  fi
  rm -f target-apt.log
fi

venv=target/venv
if [ ! -e $venv/ok ]; then
  mkdir -p target
  echo "setup: installing Python packages into $venv: xllamacpp gguf numpy openai"
  if ! { python3 -m venv $venv && $venv/bin/pip --disable-pip-version-check -q install -r tests/requirements.txt && touch $venv/ok; }; then
    echo "setup: SKIPPED: cannot install the Python packages here; the llama.cpp and openai tests say so and are skipped"
  fi
fi
echo "setup: done"
