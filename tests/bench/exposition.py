#!/usr/bin/env python3
"""Serves a vLLM-like exposition with about N series whose values move, for the memory benchmark.

    exposition.py PORT N
"""

import http.server
import random
import sys
import time

BOUNDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640]
HISTOGRAMS = ["time_to_first_token_seconds", "inter_token_latency_seconds", "e2e_request_latency_seconds",
              "request_queue_time_seconds", "request_prompt_tokens", "request_generation_tokens"]


def exposition(models):
    now, lines = time.time(), []
    for name in HISTOGRAMS:
        lines.append(f"# TYPE vllm:{name} histogram")
        for model in range(models):
            label, total = f'engine="0",model_name="m{model}"', 0
            for bound in BOUNDS:
                total += int(now * (1 + model % 7)) % 1000 + 1
                lines.append(f'vllm:{name}_bucket{{{label},le="{bound}"}} {total}')
            lines.append(f'vllm:{name}_bucket{{{label},le="+Inf"}} {total}')
            lines.append(f"vllm:{name}_sum{{{label}}} {total * 0.37}")
            lines.append(f"vllm:{name}_count{{{label}}} {total}")
    for name in ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc"):
        lines.append(f"# TYPE vllm:{name} gauge")
        lines += [f'vllm:{name}{{engine="0",model_name="m{m}"}} {random.random():.3f}' for m in range(models)]
    return "\n".join(lines) + "\n"


class Handler(http.server.BaseHTTPRequestHandler):
    models = 1

    def do_GET(self):
        body = exposition(self.models).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


port, wanted = int(sys.argv[1]), int(sys.argv[2])
Handler.models = max(1, wanted // (len(HISTOGRAMS) * (len(BOUNDS) + 3) + 3))
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
