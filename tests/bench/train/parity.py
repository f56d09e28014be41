#!/usr/bin/env python3
"""Adapters that plimsoll trains, read by Hugging Face PEFT: are the log-probabilities the same?

cargo build --release -p plimsoll-agent && tests/bench/torch.sh target/train/venv 'peft, safetensors, transformers' transformers peft safetensors
target/train/venv/bin/python tests/bench/train/parity.py target/release/plimsoll
For each tiny decoder of tests/golden/shadow and each form: `plimsoll finetune`, then `plimsoll score --adapter` and PEFT on
the same texts, both in f32. A token's log-probability is a logit less the logarithm of a sum over all; 1e-4 is allowed.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import peft
import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parents[3]
PROGRAM = sys.argv[1]
FORMS = {"LoRA": [], "rsLoRA": ["--rslora"], "DoRA": ["--dora"]}
TEXTS = [{"prompt": f"What is {at} plus {at % 7}?", "response": f" It is {at + at % 7}."} for at in range(40)]


def lines(path, texts):
    path.write_text("".join(json.dumps(text) + "\n" for text in texts))
    return path


def ours(model, adapter, texts):
    out = subprocess.run([PROGRAM, "score", "--model", model, "--adapter", adapter, "--per-token", texts], check=True,
                         capture_output=True, text=True).stdout
    return [json.loads(line)["response_token_nlls"] for line in out.splitlines()]


def theirs(model, adapter, texts):
    base = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    adapted = peft.PeftModel.from_pretrained(base, adapter).eval()
    made = transformers.PreTrainedTokenizerFast(tokenizer_file=str(model / "tokenizer.json"))
    out = []
    for text in texts:
        prompt = made(text["prompt"])["input_ids"]
        response = made(text["response"], add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logits = adapted(torch.tensor([prompt + response])).logits[0].double()
        ln = torch.log_softmax(logits[len(prompt) - 1:-1], -1)
        out.append([-ln[at, token].item() for at, token in enumerate(response)])
    return out


print(f"peft {peft.__version__}, torch {torch.__version__}, transformers {transformers.__version__}")
failed = False
with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    data, held = lines(folder / "train.jsonl", TEXTS[:30]), lines(folder / "held.jsonl", TEXTS[30:])
    for name in ["llama3", "qwen2", "qwen3"]:
        model = ROOT / "tests/golden/shadow" / name
        for form, flags in FORMS.items():
            out = folder / f"{name}-{form}"
            subprocess.run([PROGRAM, "finetune", "--model", model, "--data", data, "--out", out, "--batch-tokens", "128",
                            "--epochs", "5", "--lr", "5e-3", "--rank", "4", "--device", "cpu", *flags], check=True,
                           capture_output=True)
            pairs = list(zip(ours(model, out, held), theirs(model, out, TEXTS[30:])))
            apart = max(abs(a - b) for mine, other in pairs for a, b in zip(mine, other, strict=True))
            tokens = sum(len(mine) for mine, _ in pairs)
            failed |= apart > 1e-4
            print(f"{name} {form}: {tokens} log-probabilities within {apart:.1e}{'' if apart <= 1e-4 else ' TOO FAR'}")
sys.exit(failed)
