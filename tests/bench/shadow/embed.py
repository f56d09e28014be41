"""Sentences per second beside sentence-transformers (torch f32, bf16, dynamic int8), same folder, same threads, in one run.

target/shadow/venv/bin/python tests/bench/shadow/embed.py target/release/examples/embed_bench
Tokens are ready on both sides; each kind runs for PLIMSOLL_SECONDS (2) seconds. `peak` is the share that our f32 has of
what torch's product of large squares reaches on the same threads just before (the layers of a MiniLM, 21.2 MFLOP a token,
and 9216 FLOP times the length for attention); by processor time it is left out.
"""
import argparse
import os
import subprocess
import time
import warnings

import torch
from folder import folder
from peak import peak
from sentence_transformers import SentenceTransformer


def peer(model: str, kind: str) -> torch.nn.Module:
    module = SentenceTransformer(model, device="cpu")
    if kind == "bf16":
        return module.to(torch.bfloat16)
    if kind == "int8":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.ao.quantization.quantize_dynamic(module, {torch.nn.Linear}, dtype=torch.qint8)
    return module


def speed(module: torch.nn.Module, batch: int, tokens: int, seconds: float) -> tuple[float, float]:
    ids = torch.randint(1000, 30000, (batch, tokens))
    ids[:, 0], ids[:, -1] = 101, 102
    features = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
    with torch.inference_mode():
        module(dict(features))
        best, runs, used, end = float("inf"), 0, time.process_time(), time.perf_counter() + seconds
        while time.perf_counter() < end or runs == 0:
            begin = time.perf_counter()
            module(dict(features))
            best, runs = min(best, time.perf_counter() - begin), runs + 1
    return batch / best, batch * runs / (time.process_time() - used)


def operations(tokens: int) -> float:
    """Of one sentence, in six layers of 384 and 1536."""
    return tokens * 6 * (2 * (4 * 384 * 384 + 2 * 384 * 1536) + 4 * tokens * 384)


def ours(program: str, model: str, kind: str, threads: int, size: tuple[int, int], seconds: float) -> tuple[float, float]:
    environment = dict(os.environ, RAYON_NUM_THREADS=str(threads))
    command = [program, "speed", model, kind, str(seconds), *map(str, size)]
    best, all = subprocess.run(command, check=True, capture_output=True, env=environment, text=True).stdout.split()
    return float(best), float(all)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--model", default=folder())
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--tokens", type=int, nargs="*", default=[32, 128, 512])
    chosen = parser.parse_args()
    seconds = float(os.environ.get("PLIMSOLL_SECONDS", "2"))
    peers = {kind: peer(chosen.model, kind) for kind in ("f32", "bf16", "int8")}
    print("per second of (a) the clock, best run (b) processor time, all runs")
    print("threads batch tokens     |  ours f32  ours int8 | torch f32 torch bf16 torch int8 | f32/f32 best/bf16 int8/int8 int8/f32 | peak")
    print(f"load {os.getloadavg()[0]:.1f}, torch {torch.__version__}")
    for threads in chosen.threads:
        torch.set_num_threads(threads)
        for size in [(batch, tokens) for tokens in chosen.tokens for batch in (1, 32)]:
            # every kind of one size at the same time of day: the machine may have other work
            most = peak(threads)
            mine = [ours(chosen.program, chosen.model, kind, threads, size, seconds) for kind in ("f32", "int8")]
            theirs = [speed(module, *size, seconds) for module in peers.values()]
            for which, name in enumerate("ab"):
                (f32, int8), (torch_f32, bf16, torch_int8) = ([pair[which] for pair in kinds] for kinds in (mine, theirs))
                print(f"{threads:7} {size[0]:5} {size[1]:6} ({name}) | {f32:9.1f}  {int8:9.1f} | {torch_f32:9.1f} {bf16:10.1f} {torch_int8:10.1f} "
                      f"| {f32 / torch_f32:7.2f} {max(f32, int8) / bf16:9.2f} {int8 / torch_int8:9.2f} {int8 / f32:8.2f} | "
                      + (f"{f32 * operations(size[1]) / most:.2f}" if name == "a" else ""), flush=True)


if __name__ == "__main__":
    main()
