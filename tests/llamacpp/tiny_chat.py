#!/usr/bin/env python3
"""A tiny chat model that llama.cpp, vLLM and plimsoll tokenize alike: one token a byte, ChatML.

    tiny_chat.py make FOLDER [seed [width]]   a Llama with seeded random weights as a Hugging Face folder, in f32
    tiny_chat.py gguf FOLDER OUT.gguf         such a folder, trained on or not, as llama.cpp reads it

The width is 64 where it is not said; vLLM's attention on a CPU needs 128, which makes heads of 32.

Token n is byte n; then come a pair of bytes that no UTF-8 has (a GGUF needs one merge) and the two marks of ChatML.
"""

import json
import os
import struct
import sys

import gguf
import numpy as np

LAYERS, HEADS, KV_HEADS, WINDOW = 2, 4, 2, 4096
EPS, BASE = 1e-6, 10000.0
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def byte_letters():
    """The letter by which byte-level BPE writes each byte: itself where it can be printed."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte) if byte in plain else chr(next(others)) for byte in range(256)]


LETTERS = byte_letters()
NEVER = (LETTERS[0xFE], LETTERS[0xFF])
WORDS = [*LETTERS, "".join(NEVER), "<|im_start|>", "<|im_end|>"]
START, END = 257, 258


def shapes(width):
    """Name and shape of every weight, as transformers names them."""
    queries, keys, inner = width, width // HEADS * KV_HEADS, 2 * width
    yield "model.embed_tokens.weight", (len(WORDS), width)
    for layer in range(LAYERS):
        at = f"model.layers.{layer}."
        yield at + "input_layernorm.weight", (width,)
        for name, shape in (("q", (queries, width)), ("k", (keys, width)), ("v", (keys, width)), ("o", (width, queries))):
            yield f"{at}self_attn.{name}_proj.weight", shape
        yield at + "post_attention_layernorm.weight", (width,)
        for name, shape in (("gate", (inner, width)), ("up", (inner, width)), ("down", (width, inner))):
            yield f"{at}mlp.{name}_proj.weight", shape
    yield "model.norm.weight", (width,)
    yield "lm_head.weight", (len(WORDS), width)


def make(folder, seed=0, width=64):
    width = int(width)
    random = np.random.default_rng(int(seed))
    os.makedirs(folder, exist_ok=True)
    tensors = {
        name: np.ones(shape, np.float32) if len(shape) == 1 else (random.standard_normal(shape) * 0.1).astype(np.float32)
        for name, shape in shapes(width)
    }
    header, begin = {"__metadata__": {"format": "pt"}}, 0
    for name, values in tensors.items():
        header[name] = {"dtype": "F32", "shape": values.shape, "data_offsets": [begin, begin + values.nbytes]}
        begin += values.nbytes
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    with open(f"{folder}/model.safetensors", "wb") as out:
        out.write(struct.pack("<Q", len(head)) + head)
        for values in tensors.values():
            out.write(values.tobytes())
    write_json(f"{folder}/config.json", {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": len(WORDS), "hidden_size": width,
        "intermediate_size": 2 * width, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS, "head_dim": width // HEADS, "max_position_embeddings": WINDOW, "rms_norm_eps": EPS,
        "rope_theta": BASE, "hidden_act": "silu", "tie_word_embeddings": False, "attention_bias": False,
        "mlp_bias": False, "bos_token_id": None, "eos_token_id": END, "torch_dtype": "float32"})
    mark = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    write_json(f"{folder}/tokenizer.json", {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None, "post_processor": None,
        "added_tokens": [{"id": at, "content": WORDS[at], **mark} for at in (START, END)],
        "pre_tokenizer": byte_level, "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {word: at for at, word in enumerate(WORDS[:START])}, "merges": [list(NEVER)]}})
    write_json(f"{folder}/tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": WORDS[END], "chat_template": CHAT,
        "clean_up_tokenization_spaces": False, "model_max_length": WINDOW})


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as out:
        json.dump(value, out)


def read(folder):
    """The tensors of a folder, in f32."""
    with open(f"{folder}/model.safetensors", "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        begin = file.tell()
        for name, info in header.items():
            if name == "__metadata__":
                continue
            if info["dtype"] != "F32":
                sys.exit(f"{folder}/model.safetensors: {name}: found {info['dtype']}, expected F32")
            file.seek(begin + info["data_offsets"][0])
            length = info["data_offsets"][1] - info["data_offsets"][0]
            yield name, np.frombuffer(file.read(length), np.float32).reshape(info["shape"])


def neighbours(rows, heads):
    """llama.cpp turns neighbours by a position, transformers the two halves of a head."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(rows.shape)


def to_gguf(folder, path):
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, LAYERS)
    with open(f"{folder}/config.json", encoding="utf-8") as file:
        width = json.load(file)["hidden_size"]
    out = gguf.GGUFWriter(path, "llama")
    out.add_context_length(WINDOW)
    out.add_embedding_length(width)
    out.add_block_count(LAYERS)
    out.add_feed_forward_length(2 * width)
    out.add_head_count(HEADS)
    out.add_head_count_kv(KV_HEADS)
    out.add_layer_norm_rms_eps(EPS)
    out.add_rope_freq_base(BASE)
    out.add_rope_dimension_count(width // HEADS)
    out.add_vocab_size(len(WORDS))
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("gpt-2")
    out.add_token_list(WORDS)
    out.add_token_types([gguf.TokenType.NORMAL] * START + [gguf.TokenType.CONTROL] * 2)
    out.add_token_merges([" ".join(NEVER)])
    out.add_eos_token_id(END)
    out.add_add_bos_token(False)
    out.add_chat_template(CHAT)
    for name, values in read(folder):
        stored = names.get_name(name, try_suffixes=(".weight",))
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            values = neighbours(values, HEADS if "q_proj" in name else KV_HEADS)
        out.add_tensor(stored, values)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


VERBS = {"make": make, "gguf": to_gguf}
VERBS[sys.argv[1]](*sys.argv[2:])
