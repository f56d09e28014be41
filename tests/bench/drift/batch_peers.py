#!/usr/bin/env python3
"""`make bench-drift-batch`: `plimsoll drift` and its tests beside evidently, scipy and alibi-detect, in one run.

Prints one line a row: ours, the peer's, the ratio. Peers that are not installed are said and left out. Times are processor
time, all threads together, the least of several rounds: the machine may be shared. Needs numpy, pandas, scipy; evidently and alibi-detect[torch] where
they install (target/venv-drift, made by tests/bench/drift/setup_batch.sh).
"""
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[3]
PLIMSOLL = pathlib.Path(os.environ.get("PLIMSOLL", ROOT / "target/release/plimsoll"))
COST = ROOT / "target/release/examples/two_sample_cost"
ROUNDS = int(os.environ.get("ROUNDS", "5"))
ROWS = 100_000


def show(what, ours, peer, unit, digits=3):
    print(f"{what:48} {ours:10.{digits}f} {peer:10.{digits}f} {unit:4} ratio {peer / ours:8.1f}", flush=True)


# A process inherits the peak memory of the one that forked it, past exec: measured from here, pandas would be counted.
LAUNCH = """
import json, os, resource, subprocess, sys, time
start = time.perf_counter()
done = subprocess.run(sys.argv[1:])
wall = time.perf_counter() - start
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
json.dump([done.returncode, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000], sys.stderr)
"""


def measured(command):
    """Wall seconds, CPU seconds, peak memory in MB and output of a command, of the round with the least CPU."""
    best = None
    for _ in range(ROUNDS):
        launched = subprocess.run([sys.executable, "-S", "-c", LAUNCH, *command], capture_output=True)
        status, *found = json.loads(launched.stderr)
        if status != 0:
            sys.exit(f"{command}: exit {status}")
        found.append(launched.stdout)
        best = found if best is None or found[1] < best[1] else best
    return best


def table(seed, shift):
    import pandas as pd

    rng = np.random.default_rng(seed)
    data = {f"n{at}": rng.normal(shift * (at == 0), 1, ROWS) for at in range(4)}
    data |= {f"l{at}": rng.lognormal(0, 1, ROWS) for at in range(2)}
    data |= {f"i{at}": rng.poisson(300, ROWS) for at in range(2)}
    data["reason"] = rng.choice(["stop", "length", "tool_calls"], ROWS, p=[0.8, 0.15, 0.05])
    data["language"] = rng.choice(["en", "zh", "de", "fr", "es"], ROWS)
    return pd.DataFrame(data)


EVIDENTLY = """
import sys, time, resource
start = time.process_time()
import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset
imported = time.process_time() - start
a, b = pd.read_csv(sys.argv[1]), pd.read_csv(sys.argv[2])
best = 1e9
for _ in range(3):
    start = time.process_time()
    Report([DataDriftPreset()]).run(b, a).dict()
    best = min(best, time.process_time() - start)
print(imported, best, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)
"""


def report():
    with tempfile.TemporaryDirectory() as folder:
        files = [f"{folder}/a.csv", f"{folder}/b.csv"]
        for seed, file in enumerate(files):
            table(seed, 0.3 * seed).to_csv(file, index=False)
        size = sum(os.path.getsize(file) for file in files) / 1e6
        base = [str(PLIMSOLL), "drift", "--reference", files[0], "--current", files[1], "--format", "json"]
        wall, cpu, memory, out = measured(base)
        found = json.loads(out)
        print(f"report: 10 columns x {ROWS} rows twice ({size:.0f} MB of CSV), drift in "
              f"{[c['name'] for c in found['columns'] if c['drift']]}; wall {wall:.3f} s, CPU {cpu:.3f} s, {memory:.0f} MB")
        html_wall, _, html_memory, _ = measured(base + ["--html", f"{folder}/r.html"])
        print(f"  with --html: wall {html_wall:.3f} s, {html_memory:.0f} MB, page {os.path.getsize(folder + '/r.html') / 1e3:.0f} kB")
        peer = subprocess.run([sys.executable, "-c", EVIDENTLY, *files], capture_output=True, text=True)
        if peer.returncode != 0:
            print("  SKIPPED: evidently:", peer.stderr.strip().splitlines()[-1:])
            return
        imported, seconds, peer_memory = map(float, peer.stdout.split())
        show("report, ours with reading, evidently without", cpu, seconds, "s")
        show("  and evidently's import", cpu, imported + seconds, "s")
        show("report, memory", memory, peer_memory, "MB", 0)


def tests():
    from scipy import stats

    ours = json.loads(subprocess.run([str(COST)], capture_output=True, check=True, text=True).stdout)
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(1000, 384)), rng.normal(size=(1000, 384))
    best = 1e9
    for _ in range(3):
        start = time.process_time()
        [stats.ks_2samp(a[:, at], b[:, at]) for at in range(384)]
        best = min(best, time.process_time() - start)
    show("KS, 384 features x 1000, scipy", ours["ks_seconds"], best, "s", 4)
    try:
        from alibi_detect.cd import MMDDrift

        detector = MMDDrift(a.astype(np.float32), backend="pytorch", n_permutations=100)
        best = 1e9
        for _ in range(2):
            start = time.process_time()
            detector.predict(b.astype(np.float32))
            best = min(best, time.process_time() - start)
        show("MMD, 1000 x 1000 x 384, 100 perm., alibi-detect", ours["mmd_seconds"], best, "s", 4)
    except ImportError as why:
        print(f"MMD: ours {ours['mmd_seconds']:.4f} s; SKIPPED: alibi-detect: {why}")
    x = np.vstack([a, b]).astype(np.float32)
    start = time.process_time()
    squared = (x * x).sum(1)
    kernel = np.exp(-np.maximum(squared[:, None] + squared[None] - 2 * x @ x.T, 0) / 700)
    labels = np.zeros((2000, 101), np.float32)
    for at in range(101):
        labels[rng.permutation(2000)[:1000], at] = 1
    (labels * (kernel @ labels)).sum(0)
    numpy = time.process_time() - start
    show("MMD, the same algorithm in numpy (BLAS)", ours["mmd_seconds"], numpy, "s", 4)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print(f"{'what':48} {'ours':>10} {'peer':>10}")
    report()
    tests()
