"""Embeddings of real texts in two languages beside sentence-transformers' on the same folder: cosine and largest difference.

target/shadow/venv/bin/python tests/bench/shadow/parity.py target/release/examples/embed_bench --data ../shared/data
Exits 1 where a bound of issue 5 is missed: f32 cosine >= 0.99999 and difference <= 1e-4; int8 cosine >= 0.995.
"""
import argparse
import csv
import gzip
import json
import os
import subprocess
import sys

import numpy as np
from folder import folder
from sentence_transformers import SentenceTransformer


def texts(data: str, each: int) -> list[str]:
    with gzip.open(f"{data}/text/banking77_test.csv.gz", "rt") as file:
        english = [row[0] for row in csv.reader(file)][1:]
    with gzip.open(f"{data}/text/crosswoz_zh_user.jsonl.gz", "rt") as file:
        chinese = [json.loads(line)["text"] for line in file]
    pick = lambda all: all[:: max(1, len(all) // each)][:each]
    return pick(english) + pick(chinese)


# what is unlike a sentence: nothing, spaces, signs, far too long
ODD = ["", "   ", "\U0001f600 \u200b\x07 [SEP] <s>", "word " * 5000, "\u6f22\u5b57" * 4000]


def ours(program: str, model: str, precision: str, texts: list[str]) -> np.ndarray:
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    done = subprocess.run([program, "vectors", model, precision], input=lines.encode(), capture_output=True)
    if done.returncode:
        sys.exit(done.stderr.decode())
    return np.frombuffer(done.stdout, "<f4").reshape(len(texts), -1)


def compare(name: str, a: np.ndarray, b: np.ndarray, least: float, most: float) -> bool:
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine = ((a * b).sum(1) / lengths).min()
    difference = np.abs(a - b).max()
    good = bool(cosine >= least and difference <= most)
    print(f"{name:22} {len(a)} texts  least cosine {cosine:.7f} (>= {least})  largest difference {difference:.2e} (<= {most})"
          f"  {'ok' if good else 'MISSED'}")
    return good


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--data", default=os.environ.get("PLIMSOLL_SHARED", "../shared") + "/data")
    parser.add_argument("--model", default=folder())
    parser.add_argument("--each", type=int, default=250)
    chosen = parser.parse_args()
    if not os.path.isdir(chosen.data):
        print(f"SKIPPED: no {chosen.data}")
        return
    real = texts(chosen.data, chosen.each)
    some = real + ODD
    peer = SentenceTransformer(chosen.model, device="cpu").encode(some, batch_size=32, show_progress_bar=False)
    alone = ours(chosen.program, chosen.model, "f32", some)
    order = np.random.default_rng(1).permutation(len(some))
    mixed = np.empty_like(alone)
    mixed[order] = ours(chosen.program, chosen.model, "f32", [some[place] for place in order])
    single = np.vstack([ours(chosen.program, chosen.model, "f32", [text]) for text in some[::50]])
    int8 = ours(chosen.program, chosen.model, "int8", some)
    good = [
        compare("f32", alone, peer, 0.99999, 1e-4),
        compare("f32, another order", alone, mixed, 0.99999, 1e-6),
        compare("f32, each alone", alone[::50], single, 0.99999, 1e-6),
        compare("int8", int8[: len(real)], peer[: len(real)], 0.995, 1.0),
        compare("int8, odd texts", int8[len(real) :], peer[len(real) :], 0.99, 1.0),
    ]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
