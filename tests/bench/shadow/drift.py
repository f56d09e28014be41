"""Do embeddings in int8 give the drift verdicts that those in f32 give? Two-sample tests on banking77.

target/shadow/venv/bin/python tests/bench/shadow/drift.py target/release/examples/embed_bench --data ../shared/data
MMD with a Gaussian kernel (median bandwidth) and 200 permutations, 200 against 200 texts: half of the pairs from the same
texts, half with a share of one subject mixed in. The same texts and permutations for both; a verdict is p < 0.05.
"""
import argparse
import csv
import gzip

import numpy as np
from folder import folder
from parity import ours


def p_value(a: np.ndarray, b: np.ndarray, seed: int) -> float:
    both = np.vstack([a, b])
    squares = ((both[:, None] - both[None]) ** 2).sum(2) if len(both) < 50 else None
    if squares is None:
        norms = (both**2).sum(1)
        squares = np.maximum(norms[:, None] + norms[None] - 2 * both @ both.T, 0)
    kernel = np.exp(-squares / np.median(squares[squares > 0]))
    signs = np.concatenate([np.full(len(a), 1 / len(a)), np.full(len(b), -1 / len(b))])
    random = np.random.default_rng(seed)
    rows = np.array([signs] + [random.permutation(signs) for _ in range(200)])
    statistics = ((rows @ kernel) * rows).sum(1)
    return float((statistics >= statistics[0] - 1e-12).mean())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--data", default="../shared/data")
    chosen = parser.parse_args()
    with gzip.open(f"{chosen.data}/text/banking77_test.csv.gz", "rt") as file:
        rows = list(csv.reader(file))[1:]
    texts, subjects = [row[0] for row in rows], np.array([row[1] for row in rows])
    vectors = {kind: ours(chosen.program, folder(), kind, texts) for kind in ("f32", "int8")}
    random, same, drifted, largest = np.random.default_rng(1), 0, {"f32": 0, "int8": 0}, 0.0
    pairs = [(pair, share) for share in (0.0, 0.1, 0.2, 0.4) for pair in range(10)]
    for pair, share in pairs:
        order = random.permutation(len(texts))
        reference, current = order[:200], order[200:400].copy()
        of_one = np.flatnonzero(subjects == random.choice(subjects))
        count = min(int(200 * share), len(of_one))
        current[:count] = of_one[:count]
        p = {kind: p_value(all[reference], all[current], pair) for kind, all in vectors.items()}
        same += (p["f32"] < 0.05) == (p["int8"] < 0.05)
        largest = max(largest, abs(p["f32"] - p["int8"]))
        drifted = {kind: count + (p[kind] < 0.05) for kind, count in drifted.items()}
    print(f"{same} of {len(pairs)} verdicts the same; drift found: {drifted}; largest difference of p {largest:.3f}")


if __name__ == "__main__":
    main()
