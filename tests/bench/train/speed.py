#!/usr/bin/env python3
"""Training beside PEFT and torch: tokens a second on the same threads, in f32, in one run, turn by turn.

cargo build --release -p plimsoll-agent && tests/bench/torch.sh target/train/venv 'peft, safetensors, transformers' transformers peft safetensors
target/train/venv/bin/python tests/bench/train/speed.py target/release/plimsoll [ROUNDS]
A random model of Qwen2.5's kind is made in target/train once (34 million parameters). Texts are random; of each a third is
the answer. Both do the same steps: rank 16 on all seven matrices, AdamW, clipping, so many texts a step. PEFT gets them as
one padded batch of texts of one length (so none of it is padding) and computes logits for all rows, as its users' trainers
do; plimsoll packs them. torch's time is of its steps alone, plimsoll's as training.json says: of its steps alone.
"""
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

import peft
import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parents[3]
WORK = ROOT / "target/train"
FOLDER = WORK / "qwen2.5-random"
PROGRAM = sys.argv[1]
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 3
THREADS = len(os.sched_getaffinity(0))
PARTS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
STEPS, TEXTS, LENGTH = 6, 8, 128


def make():
    if (FOLDER / "tokenizer.json").exists():
        return
    torch.manual_seed(0)
    config = transformers.Qwen2Config(
        vocab_size=16384, hidden_size=512, intermediate_size=1408, num_hidden_layers=8, num_attention_heads=8,
        num_key_value_heads=2, max_position_embeddings=2048, tie_word_embeddings=True)
    transformers.Qwen2ForCausalLM(config).save_pretrained(FOLDER)
    shutil.copy(ROOT / "tests/golden/shadow/qwen2/tokenizer.json", FOLDER)


def data():
    """The bench's tokenizer has a token for each letter, after the one that begins every text."""
    path = WORK / "speed.jsonl"
    answer = LENGTH // 3
    text = lambda seed, count: "".join(chr(97 + (at * at * 7 + at + 31 * seed) % 26) for at in range(count))
    rows = [{"prompt": text(at, LENGTH - 1 - answer), "response": text(at + 1, answer)} for at in range(STEPS * TEXTS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path, answer


def ours(path, *flags):
    out = WORK / "speed-out"
    shutil.rmtree(out, ignore_errors=True)
    told = subprocess.run([PROGRAM, "finetune", "--model", FOLDER, "--data", path, "--out", out, "--format", "json",
                           "--batch-tokens", str(TEXTS * LENGTH), "--checkpoint-every", "1000", "--device", "cpu",
                           "--threads", str(THREADS), *flags], check=True, capture_output=True, text=True).stdout
    steps = [json.loads(line) for line in (out / "progress.jsonl").read_text().splitlines()]
    assert all(step["tokens"] == TEXTS * LENGTH for step in steps), "another packing"
    # the first step warms up, as torch's does
    seconds = [step["tokens"] / step["tokens_per_second"] for step in steps][1:]
    return TEXTS * LENGTH / statistics.mean(seconds), json.loads(told)


class Theirs:
    def __init__(self, answer):
        model = transformers.AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32, attn_implementation="sdpa")
        config = peft.LoraConfig(r=16, lora_alpha=32, target_modules=PARTS, task_type="CAUSAL_LM")
        self.model = peft.get_peft_model(model, config).train()
        self.trained = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.optimiser = torch.optim.AdamW(self.trained, lr=2e-4, weight_decay=0.0)
        self.answer = answer

    def step(self, ids):
        labels = ids.clone()
        labels[:, :-self.answer] = -100
        self.optimiser.zero_grad()
        self.model(input_ids=ids, labels=labels, use_cache=False).loss.backward()
        torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimiser.step()

    def run(self):
        seconds = []
        for _ in range(STEPS):
            ids = torch.randint(0, 256, (TEXTS, LENGTH))
            begin = time.perf_counter()
            self.step(ids)
            seconds.append(time.perf_counter() - begin)
        return TEXTS * LENGTH / statistics.mean(seconds[1:])


make()
torch.set_num_threads(THREADS)
path, answer = data()
print(f"{THREADS} threads, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}, peft {peft.__version__}; "
      f"{TEXTS} texts of {LENGTH} tokens a step, {ROUNDS} rounds of {STEPS} steps")
theirs = Theirs(answer)
ours(path), theirs.run()
rounds = [(ours(path)[0], theirs.run(), ours(path, "--recompute")[0]) for _ in range(ROUNDS)]
mine, other, again = (statistics.median(turn[side] for turn in rounds) for side in range(3))
ratio = statistics.median(a / b for a, b, _ in rounds)
print(f"plimsoll {mine:.0f} tokens/s, PEFT + torch {other:.0f} tokens/s, ratio {ratio:.2f} (rounds: "
      + ", ".join(f"{a / b:.2f}" for a, b, _ in rounds) + ")")
print(f"plimsoll with every layer computed again: {again:.0f} tokens/s, ratio "
      f"{statistics.median(c / b for _, b, c in rounds):.2f}")
