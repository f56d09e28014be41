#!/usr/bin/env python3
"""Is the GPU right? The verbs on the CPU in f32 beside the verbs on the GPU, text by text.

    parity.py PLIMSOLL --embedder DIR --scorer DIR [--device cuda]

Embeddings: least cosine and largest difference; scores: largest relative error. Bounds: f32 0.9999 and 1e-3, bf16 0.999 and
3e-2. Exit code 1 where one is broken. With `--device cpu` it checks itself.
"""
import argparse
import json
import math
import subprocess
import sys

TEXTS = [f"{opening} {subject}{' and so on' * extra}" for extra in (0, 1, 30) for subject in
         ("my card", "the exchange rate", "a transfer", "余额不足", "ein Konto") for opening in ("Where is", "Why", "请问")] + [""]
BOUNDS = {"f32": (0.9999, 1e-3), "bf16": (0.999, 3e-2)}


def verb(program, verb, model, device, precision, lines):
    command = [program, verb, "--model", model, "--device", device, "--precision", precision]
    text = "\n".join(json.dumps(line) for line in lines)
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def main():
    args = argparse.ArgumentParser()
    args.add_argument("plimsoll")
    args.add_argument("--embedder", required=True)
    args.add_argument("--scorer", required=True)
    args.add_argument("--device", default="cuda")
    args = args.parse_args()
    texts = [{"text": text} for text in TEXTS]
    pairs = [{"prompt": text, "response": " It depends."} for text in TEXTS]
    vectors = [line["embedding"] for line in verb(args.plimsoll, "embed", args.embedder, "cpu", "f32", texts)]
    scores = [line["response_nll"] for line in verb(args.plimsoll, "score", args.scorer, "cpu", "f32", pairs)]
    good = True
    for precision, (least, most) in BOUNDS.items():
        if args.device == "cpu" and precision != "f32":
            continue
        found = [line["embedding"] for line in verb(args.plimsoll, "embed", args.embedder, args.device, precision, texts)]
        nlls = [line["response_nll"] for line in verb(args.plimsoll, "score", args.scorer, args.device, precision, pairs)]
        worst = min(map(cosine, vectors, found))
        apart = max(abs(x - y) for a, b in zip(vectors, found) for x, y in zip(a, b))
        error = max(abs(a - b) / abs(a) for a, b in zip(scores, nlls))
        fits = worst >= least and error <= most
        good &= fits
        print(f"{args.device} {precision}: {len(texts)} texts, least cosine {worst:.7f} (>= {least}), largest difference "
              f"{apart:.2e}, largest relative error of an NLL {error:.2e} (<= {most}): {'ok' if fits else 'BROKEN'}")
    sys.exit(0 if good else 1)


main()
