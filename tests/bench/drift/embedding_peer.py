"""alibi-detect's MMDDriftOnline on the MiniLM vectors of `make sim-drift-embedding`, ours beside it.

    make bench-drift          (or: embedding_peer.py FOLDER [RUNS], FOLDER holding banking77.f32 and banking77.jsonl)

Ten of 77 intents are held out, 1000 questions of the others are the reference, streams come from a half that it has not
seen. All runs share one reference and one calibration, which takes long; the window is 20, and there are 1100
bootstraps (more than the run length is the least that it takes; its manual wants ten times that). Times are processor time. Without torch there is
nothing to compare with, and it says SKIPPED: `PLIMSOLL_TORCH=1 make bench-drift` installs it (several gigabytes).
"""

import json
import pathlib
import resource
import sys
import time

import numpy as np
import ours

ARL, WINDOW, BOOTSTRAPS, REFERENCE, HELD_OUT = 1000, 20, 1100, 1000, 10
SETTLED, CAP = 300, 4000
SHARES = (0.10, 0.25, 0.50, 1.00)


class Scene:
    def __init__(self, folder, seed):
        vectors = np.fromfile(folder / "banking77.f32", "<f4").reshape(-1, 384)
        lines = (folder / "banking77.jsonl").read_text(encoding="utf-8").splitlines()
        intents = np.array([json.loads(line)["intent"] for line in lines])
        self.rng = np.random.default_rng(seed)
        held = np.isin(intents, self.rng.permutation(np.unique(intents))[:HELD_OUT])
        usual = self.rng.permutation(np.flatnonzero(~held))
        self.reference = vectors[usual[:REFERENCE]]
        self.usual, self.novel = vectors[usual[len(usual) // 2 :]], vectors[held]

    def next(self, share):
        source = self.novel if self.rng.random() < share else self.usual
        return source[self.rng.integers(len(source))]


def first_alarm(detector, scene, share, most):
    """Observations until the alarm, `None` where there is none within `most`."""
    hit = (seen for seen in range(1, most + 1) if detector.predict(scene.next(share))["data"]["is_drift"])
    return next(hit, None)


def main(folder, runs):
    text = ours.printed("cost")
    our_update, our_learning = ours.cost(text, "embedding")
    try:
        import torch
        from alibi_detect.cd import MMDDriftOnline
    except ImportError as why:
        print(f"SKIPPED: MMDDriftOnline: {why} (PLIMSOLL_TORCH=1 installs torch)")
        return
    torch.manual_seed(0)
    scene = Scene(folder, 0)
    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    detector = MMDDriftOnline(
        scene.reference, ert=ARL, window_size=WINDOW, n_bootstraps=BOOTSTRAPS, backend="pytorch", verbose=False
    )
    ours.show("MMDDriftOnline, calibration (m = 1000)", our_learning, time.process_time() - began, "s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    ours.show("MMDDriftOnline, peak memory of the process", ours.resident_mb(text, "embedding"), peak, "MB")
    print(f"  (of which {before:.0f} MB before it was made)", flush=True)
    lengths, began = [], time.process_time()
    for _ in range(runs):
        detector.reset_state()
        lengths.append(first_alarm(detector, scene, 0.0, 10 * ARL) or 10 * ARL)
    spent = time.process_time() - began
    ours.show("MMDDriftOnline, an update", our_update, spent / sum(lengths) * 1e6, "us")
    print(f"MMDDriftOnline: run length {sum(lengths) / runs:.0f} at a nominal {ARL} ({runs} runs)", flush=True)
    for share in SHARES:
        delays = []
        for _ in range(runs):
            detector.reset_state()
            if first_alarm(detector, scene, 0.0, SETTLED) is None:
                delays.append(first_alarm(detector, scene, share, CAP) or CAP)
        mean = sum(delays) / max(1, len(delays))
        print(f"MMDDriftOnline: delay at {share:4.0%} held-out intents: {mean:.0f} ({len(delays)} runs, "
              f"{runs - len(delays)} left out: alarm before)", flush=True)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 30)
