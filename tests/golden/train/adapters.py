#!/usr/bin/env python3
"""Writes what PEFT and torch make of the tiny decoders of tests/golden/shadow, for shadow-model/src/train/tests.rs.

For each model an adapter in each of three forms (LoRA, rsLoRA, DoRA) with the logits that PEFT gives with it; derivatives of
one loss by torch autograd; the losses of 200 steps of torch's AdamW on PEFT's adapter, which begins as the folder `begin`
says. All in f32. Adapters are stored in F16 and read back before anything is computed with them.

tests/bench/torch.sh target/train/venv 'peft, safetensors, transformers' transformers peft safetensors && target/train/venv/bin/python tests/golden/train/adapters.py
"""
import json
import pathlib
import shutil

import peft
import safetensors.torch
import torch
import transformers

HERE = pathlib.Path(__file__).parent
MODELS = HERE.parent / "shadow"
PARTS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
FORMS = {"lora": dict(), "rslora": dict(use_rslora=True), "dora": dict(use_dora=True)}
IDS = [[(at * at * 7 + at * 3 + seed * 31) % 250 + 1 for at in range(length)] for seed, length in [(0, 23), (1, 9), (2, 40)]]


def base(name):
    torch.manual_seed(0)
    return transformers.AutoModelForCausalLM.from_pretrained(MODELS / name, dtype=torch.float32,
                                                             attn_implementation="eager")


def adapted(name, form, rank, **more):
    config = peft.LoraConfig(r=rank, lora_alpha=6, target_modules=PARTS, task_type="CAUSAL_LM", **FORMS[form], **more)
    return peft.get_peft_model(base(name), config)


def save(model, folder):
    """In F16: halves of what f32 takes, and the numbers that both sides read are the same."""
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_model.safetensors"
    tensors = {name: tensor.half() for name, tensor in safetensors.torch.load_file(path).items()}
    safetensors.torch.save_file(tensors, path, metadata={"format": "pt"})
    settings = json.loads((folder / "adapter_config.json").read_text())
    settings["base_model_name_or_path"] = folder.name
    settings["target_modules"] = sorted(settings["target_modules"])
    (folder / "adapter_config.json").write_text(json.dumps(settings))


def read(name, folder, trainable=False):
    return peft.PeftModel.from_pretrained(base(name), folder, is_trainable=trainable)


def randomise(model, seed):
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_magnitude" in name:
                weight.mul_(1 + 0.3 * torch.randn_like(weight))
            elif "lora_" in name:
                weight.normal_(0.0, 0.15)
    return model


def nll(model, ids, begin):
    """Sum over the tokens from `begin` on, and how many they are."""
    logits = model(torch.tensor([ids])).logits[0, begin - 1:-1]
    return torch.nn.functional.cross_entropy(logits, torch.tensor(ids[begin:]), reduction="sum"), len(ids) - begin


def loss(model, batch):
    parts = [nll(model, ids, begin) for ids, begin in batch]
    return sum(part for part, _ in parts) / sum(count for _, count in parts)


def logits():
    """The last row's of each text."""
    out = {}
    for at, name in enumerate(["llama3", "qwen2", "qwen3"]):
        for form in FORMS:
            folder = HERE / f"{name}-{form}"
            save(randomise(adapted(name, form, 2), 7 + at), folder)
            model = read(name, folder).eval()
            with torch.no_grad():
                out[f"{name}-{form}"] = [[round(number, 6) for number in model(torch.tensor([ids])).logits[0, -1].tolist()]
                                         for ids in IDS[:1]]
    return out


def gradients():
    """Of the mean over the answers' tokens of three texts."""
    for name in ["llama3", "qwen2", "qwen3"]:
        for form in FORMS:
            model = read(name, HERE / f"{name}-{form}", trainable=True).train()
            value = loss(model, [(ids, 5) for ids in IDS])
            value.backward()
            named = {key.replace(".default", ""): weight.grad for key, weight in model.named_parameters()
                     if weight.grad is not None}
            named = {key.replace("vector.weight", "vector"): grad for key, grad in named.items()}
            # layer 0 alone: what reaches it has passed layer 1
            named = {key: grad.contiguous() for key, grad in named.items() if ".layers.0." in key}
            safetensors.torch.save_file(named, HERE / f"{name}-{form}/gradients.safetensors",
                                        metadata={"loss": repr(value.item())})


def curves():
    """Batches of two texts of a table of twelve in turn, clipped at 1, cosine after a warm-up."""
    texts = [([(at * (seed + 3) + seed * seed * 5 + at * at) % 250 + 1 for at in range(12 + 3 * seed)], 3 + seed % 4)
             for seed in range(12)]
    out = {"texts": [{"ids": ids, "begin": begin} for ids, begin in texts], "losses": {}}
    for name, form in [("llama3", "lora"), ("qwen2", "rslora"), ("qwen3", "dora")]:
        folder = HERE / f"{name}-begin"
        torch.manual_seed(11)
        save(adapted(name, form, 2), folder)
        model = read(name, folder, trainable=True).train()
        trained = [weight for weight in model.parameters() if weight.requires_grad]
        optimiser = torch.optim.AdamW(trained, lr=5e-3, weight_decay=0.01)
        schedule = transformers.get_cosine_schedule_with_warmup(optimiser, 10, 200)
        losses = []
        for step in range(200):
            optimiser.zero_grad()
            value = loss(model, [texts[2 * step % 12], texts[(2 * step + 1) % 12]])
            value.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimiser.step()
            schedule.step()
            losses.append(value.item())
        print(name, form, losses[0], losses[-1])
        out["losses"][f"{name}-{form}"] = [round(value, 6) for value in losses]
    return out


(HERE / "logits.json").write_text(json.dumps({"ids": IDS, "logits": logits()}))
gradients()
(HERE / "curves.json").write_text(json.dumps(curves()))
