#!/usr/bin/env python3
"""What LoRA saves against training everything: parameters trained, and the peak memory of the process.

cargo build --release -p plimsoll-agent && tests/bench/torch.sh target/train/venv 'peft, safetensors, transformers' transformers peft safetensors
target/train/venv/bin/python tests/bench/train/memory.py target/release/plimsoll
Random models of Qwen2.5's kind, stored in bf16 as published ones are, made in target/train once: one of 31 million
parameters, one of the shape of Qwen2.5-0.5B (494 million; training everything takes 9.4 GB). Two steps of 8 texts of 128
tokens, of each a third the answer.
"""
import json
import pathlib
import shutil
import subprocess
import sys

import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parents[3]
WORK = ROOT / "target/train"
PROGRAM = sys.argv[1]
SHAPES = {
    "31 million": dict(vocab_size=16384, hidden_size=512, intermediate_size=1408, num_hidden_layers=8, num_attention_heads=8),
    "Qwen2.5-0.5B": dict(vocab_size=151936, hidden_size=896, intermediate_size=4864, num_hidden_layers=24,
                         num_attention_heads=14),
}
WAYS = [("everything", ["--full"]), ("LoRA, rank 16, layers kept", []), ("LoRA, rank 16, layers computed again", ["--recompute"]),
        ("LoRA, rank 8, layers computed again", ["--rank", "8", "--recompute"]),
        ("LoRA, rank 4, q and v, layers computed again", ["--rank", "4", "--targets", "q_proj,v_proj", "--recompute"])]
STEPS, TEXTS, LENGTH = 2, 8, 128


def folder(name, shape):
    path = WORK / f"memory-{name.replace(' ', '-')}"
    if not (path / "tokenizer.json").exists():
        torch.manual_seed(0)
        config = transformers.Qwen2Config(num_key_value_heads=2, max_position_embeddings=2048, tie_word_embeddings=True, **shape)
        transformers.Qwen2ForCausalLM(config).to(torch.bfloat16).save_pretrained(path)
        shutil.copy(ROOT / "tests/golden/shadow/qwen2/tokenizer.json", path)
    return path


def data():
    """The tokenizer has a token for each letter, after the one that begins every text."""
    path, answer = WORK / "memory.jsonl", LENGTH // 3
    text = lambda seed, count: "".join(chr(97 + (at * at * 7 + at + 31 * seed) % 26) for at in range(count))
    rows = [{"prompt": text(at, LENGTH - 1 - answer), "response": text(at + 1, answer)} for at in range(STEPS * TEXTS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def train(model, flags):
    out = WORK / "memory-out"
    shutil.rmtree(out, ignore_errors=True)
    arguments = ["--data", data(), "--out", out, "--batch-tokens", str(TEXTS * LENGTH), "--device", "cpu", "--format", "json"]
    told = subprocess.run([PROGRAM, "finetune", "--model", model, *arguments, *flags], check=True, capture_output=True,
                          text=True).stdout
    shutil.rmtree(out)
    return json.loads(told)


print("| model, in bf16 | training | parameters trained | share | peak | saved |\n| --- | --- | --- | --- | --- | --- |")
for name, shape in SHAPES.items():
    all_of_it = None
    for way, flags in WAYS:
        told = train(folder(name, shape), flags)
        peak = told["peak_memory_bytes"]
        all_of_it = all_of_it or peak
        print(f"| {name} | {way} | {told['trained_parameters']:,} | {100 * told['trained_share']:.2f} % | {peak / 1e6:,.0f} MB | "
              f"{100 * (1 - peak / all_of_it):.0f} % |", flush=True)
