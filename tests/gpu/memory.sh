#!/usr/bin/env bash
# Does a worker on the GPU keep to its memory? memory.sh PLIMSOLL MODEL [MIB]: long texts at full speed, the process's memory
# on the device by nvidia-smi four times a second. The driver's own context (about 500 MiB) is not the worker's to plan.
set -euo pipefail
program=$1 model=$2 mib=${3:-1024} port=19466
"$program" shadow --listen 127.0.0.1:$port --model "$model" --device cuda --memory "${mib}MiB" &
worker=$!
trap 'kill $worker' EXIT
until curl -sf 127.0.0.1:$port/healthz >/dev/null; do kill -0 $worker; sleep 0.2; done
python3 - $port <<'PY' &
import json, sys, urllib.request
for turn in range(200):
    texts = [f"{turn} {place} " + "word " * 2000 for place in range(64)]
    request = urllib.request.Request(f"http://127.0.0.1:{sys.argv[1]}/v1/embeddings", json.dumps({"input": texts}).encode())
    urllib.request.urlopen(request).read()
PY
load=$!
most=0
while kill -0 $load 2>/dev/null; do
  now=$(nvidia-smi --query-compute-apps=pid,used_memory --format=csv,noheader,nounits | awk -F', ' -v p=$worker '$1 == p {print $2}')
  [ "${now:-0}" -le $most ] || most=$now
  sleep 0.25
done
echo "most memory on the device: $most MiB of $mib MiB and the driver's context"
[ $most -le $((mib + 600)) ]
