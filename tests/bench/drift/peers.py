"""What river's drift detectors do on the streams of `make sim-drift`: their empirical run length and delay.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install river numpy
    /tmp/peers/bin/python tests/bench/drift/peers.py [RUNS]

None of them takes a run length: each runs as it comes. alibi-detect's CVMDriftOnline does, and is added where it is
installed. A run without an alarm counts as CAP observations, so "at least" is meant where CAP shows.
"""

import random
import sys
import time

from river import drift

CAP = 20_000
REFERENCE = 1000
PEERS = {
    "ADWIN": lambda: drift.ADWIN(),
    "KSWIN": lambda: drift.KSWIN(seed=1),
    "PageHinkley": lambda: drift.PageHinkley(),
}
CHANGES = {
    "mean + 1 sigma": lambda x: x + 1.0,
    "mean + 0.5 sigma": lambda x: x + 0.5,
    "scale x 1.5": lambda x: x * 1.5,
}


def first_alarm(detector, rng, change, most):
    """Observations until the detector says drift, at most `most`."""
    for seen in range(1, most + 1):
        detector.update(change(rng.gauss(0.0, 1.0)))
        if detector.drift_detected:
            return seen
    return most


def warmed(make, rng):
    """A detector that has seen the reference; one that alarmed on it is reset, as its users do."""
    detector = make()
    for _ in range(REFERENCE):
        detector.update(rng.gauss(0.0, 1.0))
    return detector


def main(runs):
    for name, make in PEERS.items():
        most = CAP if name != "KSWIN" else 2_000
        began, lengths = time.perf_counter(), []
        for run in range(runs):
            rng = random.Random(run)
            lengths.append(first_alarm(warmed(make, rng), rng, lambda x: x, most))
        each = (time.perf_counter() - began) / (sum(lengths) + runs * REFERENCE)
        print(f"{name:<12} run length {sum(lengths) / runs:8.0f} (cap {most}, {runs} runs), {each * 1e6:.2f} us an update")
        for what, change in CHANGES.items():
            delays = []
            for run in range(runs):
                rng = random.Random(run)
                delays.append(first_alarm(warmed(make, rng), rng, change, 2_000))
            print(f"{name:<12} delay, {what:<18} {sum(delays) / runs:8.1f}")
    try:
        from alibi_detect.cd import CVMDriftOnline
    except ImportError:
        print("SKIPPED: alibi-detect is not installed")
        return
    import numpy as np

    reference = np.random.default_rng(1).normal(size=REFERENCE)
    detector = CVMDriftOnline(reference, ert=1000, window_sizes=[20, 40], n_bootstraps=5000)
    lengths = []
    for run in range(runs):
        rng = np.random.default_rng(run)
        detector.reset_state()
        lengths.append(next((t for t in range(1, CAP) if detector.predict(rng.normal())["data"]["is_drift"]), CAP))
    print(f"CVMDriftOnline run length {sum(lengths) / runs:8.0f} at nominal 1000 ({runs} runs)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
