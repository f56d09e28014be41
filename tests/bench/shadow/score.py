#!/usr/bin/env python3
"""Scoring beside transformers: tokens a second, in one run, turn by turn, on the same threads, in f32.

cargo build --release -p plimsoll-shadow-model --example score_bench
python3 -m venv /tmp/v && /tmp/v/bin/pip install torch transformers
/tmp/v/bin/python tests/bench/shadow/score.py [ROUNDS]
The model has the shape of Qwen2.5-0.5B and random weights; it is made in target/shadow once (1 GB).
"""
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parents[3]
FOLDER = ROOT / "target/shadow/qwen2.5-0.5b-random"
PROGRAM = ROOT / "target/release/examples/score_bench"
ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 3
THREADS = len(os.sched_getaffinity(0))


def make():
    if (FOLDER / "tokenizer.json").exists():
        return
    torch.manual_seed(0)
    config = transformers.Qwen2Config(
        vocab_size=151936, hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14,
        num_key_value_heads=2, max_position_embeddings=32768, tie_word_embeddings=True, rope_parameters={
            "rope_type": "default", "rope_theta": 1e6})
    transformers.Qwen2ForCausalLM(config).bfloat16().save_pretrained(FOLDER)
    shutil.copy(ROOT / "tests/golden/shadow/qwen2/tokenizer.json", FOLDER)


def theirs(model, ids):
    begin = time.perf_counter()
    with torch.inference_mode():
        logits = model(ids, use_cache=False).logits
        torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    return time.perf_counter() - begin


def ours(process, batch, tokens):
    process.stdin.write(f"{batch} {tokens - 1}\n")
    process.stdin.flush()
    seconds, read = process.stdout.readline().split()
    assert int(read) == batch * tokens, f"{read} tokens"
    return float(seconds)


make()
torch.set_num_threads(THREADS)
process = subprocess.Popen([PROGRAM, FOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                           env=os.environ | {"RAYON_NUM_THREADS": str(THREADS)})
print(f"opened in {process.stdout.readline().strip()} ms; {THREADS} threads, torch {torch.__version__}, "
      f"transformers {transformers.__version__}, median of {ROUNDS} rounds")
model = transformers.AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32).eval()
print("| batch | tokens | plimsoll, tokens/s | transformers, tokens/s | ratio |\n| --- | --- | --- | --- | --- |")
for batch, tokens in [(1, 128), (1, 512), (8, 128), (8, 512)]:
    ids = torch.randint(0, 256, (batch, tokens))
    ours(process, batch, tokens), theirs(model, ids)
    rounds = [(ours(process, batch, tokens), theirs(model, ids)) for _ in range(ROUNDS)]
    mine, other = (statistics.median(column) for column in zip(*rounds))
    ratio = statistics.median(b / a for a, b in rounds)
    print(f"| {batch} | {tokens} | {batch * tokens / mine:.0f} | {batch * tokens / other:.0f} | {ratio:.2f} |", flush=True)
process.stdin.close()
