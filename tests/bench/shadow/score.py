#!/usr/bin/env python3
"""Scoring beside transformers: tokens a second, in one run, turn by turn, on the same threads, in f32.

target/shadow/venv/bin/python tests/bench/shadow/score.py [ROUNDS [BATCH,PROMPT,RESPONSE ...]]   (make bench-shadow does it all)
The model has the shape of Qwen2.5-0.5B and random weights; it is made in target/shadow once (1 GB). Texts differ from each
other, but where there is a response all prompts of a batch are one: many answers to one prompt. `peak` is the share that we
have of what torch's product of large squares reaches on the same threads just before (994 MFLOP a token, attention left out).
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
from peak import peak

ROOT = pathlib.Path(__file__).resolve().parents[3]
FOLDER = ROOT / "target/shadow/qwen2.5-0.5b-random"
PROGRAM = ROOT / "target/release/examples/score_bench"
ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 3
CASES = [tuple(map(int, case.split(","))) for case in sys.argv[2:]] or [
    (1, 128, 0), (1, 512, 0), (8, 32, 0), (8, 128, 0), (8, 512, 0), (8, 384, 32)]
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
    begin, spent = time.perf_counter(), time.process_time()
    with torch.inference_mode():
        logits = model(ids, use_cache=False).logits
        torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    return time.perf_counter() - begin, time.process_time() - spent


def ours(process, batch, prompt, response):
    spent = cpu(process)
    process.stdin.write(f"{batch} {prompt} {response}\n")
    process.stdin.flush()
    seconds, read = process.stdout.readline().split()
    assert int(read) == batch * (prompt + response), f"{read} tokens"
    return float(seconds), cpu(process) - spent


def cpu(process):
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


make()
torch.set_num_threads(THREADS)
process = subprocess.Popen([PROGRAM, FOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                           env=os.environ | {"RAYON_NUM_THREADS": str(THREADS)})
print(f"opened in {process.stdout.readline().strip()} ms; {THREADS} threads, load {os.getloadavg()[0]:.1f}, "
      f"torch {torch.__version__}, transformers {transformers.__version__}, medians of {ROUNDS} rounds")
model = transformers.AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32).eval()
print("| batch | prompt + response | plimsoll, tokens/s | transformers, tokens/s | ratio | ratio by CPU time | peak |")
print("| --- | --- | --- | --- | --- | --- | --- |")
for batch, prompt, response in CASES:
    ids = torch.randint(0, 256, (batch, prompt + response))
    most = peak(THREADS)
    ours(process, batch, prompt, response), theirs(model, ids)
    rounds = [(ours(process, batch, prompt, response), theirs(model, ids)) for _ in range(ROUNDS)]
    rate = [batch * (prompt + response) / statistics.median(turn[side][0] for turn in rounds) for side in (0, 1)]
    ratio = [statistics.median(other[unit] / mine[unit] for mine, other in rounds) for unit in (0, 1)]
    print(f"| {batch} | {prompt} + {response} | {rate[0]:.0f} | {rate[1]:.0f} | {ratio[0]:.2f} | {ratio[1]:.2f} | "
          + (f"{rate[0] * 994e6 / most:.2f} |" if not response else "|"),
          flush=True)
process.stdin.close()
