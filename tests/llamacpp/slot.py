#!/usr/bin/env python3
"""A llama.cpp server that is started again whenever it ends, with an adapter where there is one: a slot.

    slot.py MODEL.gguf PORT ADAPTER.gguf PIDFILE      until standard input closes

The process that serves is in PIDFILE: whoever kills it has it read its adapter anew. All is in f32.
"""

import os
import subprocess
import sys
import threading

import xllamacpp


def serve(model, port, adapter):
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.port = int(port)
    params.n_ctx, params.n_parallel = 4096, 2
    params.warmup = False
    params.use_jinja = True
    params.endpoint_metrics = True
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED  # it computes in f16
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    if os.path.exists(adapter):
        params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(adapter, 1.0)]
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


def keep(model, port, adapter, pidfile):
    """Ends with its standard input; the pipe of each child closes with this process, however it ends."""
    def end():
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=end, daemon=True).start()
    while True:
        command = [sys.executable, __file__, "serve", model, port, adapter]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as child:
            with open(pidfile, "w", encoding="utf-8") as out:
                out.write(str(child.pid))
            child.wait()


if sys.argv[1] == "serve":
    serve(*sys.argv[2:])
else:
    keep(*sys.argv[1:])
