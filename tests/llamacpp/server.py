#!/usr/bin/env python3
"""A real llama.cpp server (OpenAI API, SSE, /metrics) over a tiny random model, until standard input closes.

    server.py FOLDER PORT [embeddings]      prints the address it listens on when it is ready

The model is a two-layer Llama with byte tokens and seeded random weights, 0.5 MB, written to FOLDER at the first start.
"""

import os
import sys

import gguf
import numpy as np
import xllamacpp

WIDTH, LAYERS, HEADS, HIDDEN, CONTEXT = 64, 2, 4, 128, 4096


def vocabulary():
    """(token, type) pairs: unknown, begin, end, every byte, a space, printable ASCII."""
    yield from ((b"<unk>", gguf.TokenType.UNKNOWN), (b"<s>", gguf.TokenType.CONTROL), (b"</s>", gguf.TokenType.CONTROL))
    yield from ((f"<0x{byte:02X}>".encode(), gguf.TokenType.BYTE) for byte in range(256))
    yield ("\u2581".encode(), gguf.TokenType.NORMAL)
    yield from ((bytes([char]), gguf.TokenType.NORMAL) for char in range(33, 127))


def tensors(words, random):
    """Name and values of every weight."""
    def noise(*shape):
        return (random.standard_normal(shape) * 0.05).astype(np.float32)

    yield "token_embd.weight", noise(words, WIDTH)
    yield "output.weight", noise(words, WIDTH)
    yield "output_norm.weight", np.ones(WIDTH, np.float32)
    square = {name: (WIDTH, WIDTH) for name in ("attn_q", "attn_k", "attn_v", "attn_output")}
    wide = {"ffn_gate": (HIDDEN, WIDTH), "ffn_up": (HIDDEN, WIDTH), "ffn_down": (WIDTH, HIDDEN)}
    for layer in range(LAYERS):
        for name, shape in {**square, **wide}.items():
            yield f"blk.{layer}.{name}.weight", noise(*shape)
        for name in ("attn_norm", "ffn_norm"):
            yield f"blk.{layer}.{name}.weight", np.ones(WIDTH, np.float32)


def write_model(path):
    words = list(vocabulary())
    out = gguf.GGUFWriter(path, "llama")
    out.add_context_length(CONTEXT)
    out.add_embedding_length(WIDTH)
    out.add_block_count(LAYERS)
    out.add_feed_forward_length(HIDDEN)
    out.add_head_count(HEADS)
    out.add_head_count_kv(HEADS)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_rope_dimension_count(WIDTH // HEADS)
    out.add_vocab_size(len(words))
    out.add_tokenizer_model("llama")
    out.add_token_list([word for word, _ in words])
    out.add_token_scores([0.0] * len(words))
    out.add_token_types([int(kind) for _, kind in words])
    out.add_bos_token_id(1)
    out.add_eos_token_id(2)
    out.add_unk_token_id(0)
    for name, values in tensors(len(words), np.random.default_rng(0)):
        out.add_tensor(name, values)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def main():
    folder, port = sys.argv[1], int(sys.argv[2])
    model = os.path.join(folder, "tiny.gguf")
    if not os.path.exists(model):
        write_model(model)
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.port = port
    params.endpoint_metrics = True
    params.n_ctx = CONTEXT
    params.n_parallel = 2
    params.warmup = False
    if sys.argv[3:] == ["embeddings"]:
        params.embedding, params.pooling_type = True, xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


main()
