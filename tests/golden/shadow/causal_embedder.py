#!/usr/bin/env python3
"""Adds to the tiny Qwen3 beside this file what sentence-transformers needs for it to embed as Qwen3-Embedding does (the last
token's vector, normalised), and the vectors that transformers gets, to `qwen3/embedding.json`.

python3 -m venv /tmp/v && /tmp/v/bin/pip install torch transformers && /tmp/v/bin/python tests/golden/shadow/causal_embedder.py
"""
import json
import pathlib

import torch
import transformers

HERE = pathlib.Path(__file__).parent / "qwen3"
TEXTS = ["What is the limit of my card?", "Wie hoch ist das Limit? 你好！", "A"]


def main():
    model = transformers.AutoModel.from_pretrained(HERE, dtype=torch.float32).eval()
    read = transformers.PreTrainedTokenizerFast(tokenizer_file=str(HERE / "tokenizer.json"))
    vectors = []
    for text in TEXTS:
        with torch.no_grad():
            last = model(torch.tensor([read(text).input_ids])).last_hidden_state[0, -1]
        vectors.append(torch.nn.functional.normalize(last, dim=0).tolist())
    answer = {"texts": TEXTS, "vectors": vectors}
    (HERE / "embedding.json").write_text(json.dumps(answer, ensure_ascii=False) + "\n", encoding="utf-8")


main()
