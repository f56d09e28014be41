#!/usr/bin/env bash
# Memory and idle CPU of the agent with 1 000 and 10 000 series, beside Prometheus that holds the same series.
# A stand-in exposition is served by Python; both scrape it every 5 s for the given minutes (default 5).
set -euo pipefail
cd "$(dirname "$0")/../.."
minutes=${1:-5}
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; rm -rf "$work"' EXIT

port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
rss() { awk '/VmRSS/ {printf "%.1f", $2 / 1024}' "/proc/$1/status"; }
ticks() { awk '{print $14 + $15}' "/proc/$1/stat"; }

for series in 1000 10000; do
  engine=$(port) tap=$(port) metrics=$(port) api=$(port) prom=$(port)
  python3 tests/bench/exposition.py "$engine" "$series" & pids+=($!)
  mkdir -p "$work/$series"
  target/release/plimsoll run --upstream "http://127.0.0.1:$engine" --listen "127.0.0.1:$tap" \
    --metrics "127.0.0.1:$metrics" --api "127.0.0.1:$api" --data "$work/$series/agent" 2>"$work/$series/agent.log" & agent=$!
  pids+=("$agent")
  printf 'global: {scrape_interval: 5s}\nscrape_configs: [{job_name: e, static_configs: [{targets: ["127.0.0.1:%s", "127.0.0.1:%s"]}]}]\n' \
    "$engine" "$metrics" >"$work/$series/prometheus.yml"
  prometheus --config.file="$work/$series/prometheus.yml" --storage.tsdb.path="$work/$series/tsdb" \
    --web.listen-address="127.0.0.1:$prom" 2>"$work/$series/prometheus.log" & peer=$!
  pids+=("$peer")
  sleep 20
  start_agent=$(ticks $agent) start_peer=$(ticks $peer)
  sleep $((minutes * 60))
  held=$(curl -s "http://127.0.0.1:$api/api/v1/status" | python3 -c 'import json, sys; s = json.load(sys.stdin)["store"]; print(s["series"], "series", s["samples"], "samples")')
  echo "$series lines served: plimsoll $(rss $agent) MiB RSS ($held), $(( ($(ticks $agent) - start_agent) * 10 / (minutes * 60) )) ms CPU/s;" \
    "prometheus $(rss $peer) MiB RSS, $(( ($(ticks $peer) - start_peer) * 10 / (minutes * 60) )) ms CPU/s after $minutes minutes"
  kill "${pids[@]}" 2>/dev/null || true; wait 2>/dev/null || true; pids=()
done
