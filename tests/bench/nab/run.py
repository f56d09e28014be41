"""`plimsoll detect` over the NAB files of ../shared by the official method, beside published figures.

PLIMSOLL names the binary, PLIMSOLL_SHARED the data.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
SHARED = pathlib.Path(os.environ.get("PLIMSOLL_SHARED", ROOT.parent / "shared"))
BINARY = os.environ.get("PLIMSOLL", str(ROOT / "target/release/plimsoll"))
# published results, scored on the same files by the same program: standard, low_fp, low_fn
PEERS = {"Numenta HTM": (71.2, 65.0, 75.9), "CAD OSE": (74.0, 71.7, 76.8), "windowed Gaussian": (36.7, 21.4, 45.2)}


def nab():
    data = SHARED / "data/nab"
    names = sorted(json.loads((data / "labels/windows.json").read_text()))
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            out = pathlib.Path(folder) / name
            out.parent.mkdir(parents=True, exist_ok=True)
            done = subprocess.run([BINARY, "detect", data / "data" / f"{name}.gz", "-o", out], capture_output=True)
            if done.returncode:
                sys.exit(done.stderr.decode())
        scorer = [sys.executable, SHARED / "nab_score.py", folder, "--data", data]
        said = subprocess.run(scorer, capture_output=True, text=True, check=True).stdout
    ours = dict((line.split()[0], line.split()) for line in said.splitlines())
    print(f"NAB, {len(names)} files, one setting for all, one threshold a profile")
    print(f"{'':20s} {'standard':>9s} {'low FP':>9s} {'low FN':>9s}")
    print(f"{'plimsoll detect':20s} " + " ".join(f"{float(ours[p][1]):9.2f}" for p in ("standard", "low_fp", "low_fn")))
    for peer, scores in PEERS.items():
        print(f"{peer:20s} " + " ".join(f"{score:9.1f}" for score in scores))
    print("thresholds           " + " ".join(f"{float(ours[p][3]):9.5f}" for p in ("standard", "low_fp", "low_fn")))


if __name__ == "__main__":
    nab()
