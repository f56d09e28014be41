"""river's and alibi-detect's drift detectors for numbers: run length, delay and cost, ours beside them.

    make bench-drift          (or: peers.py [RUNS], after `cargo build --release --example sim_drift`)

Streams of the laws of `make sim-drift`: independent normal values, a reference of 1000. river's detectors take no run
length and run as they come; a warning within the reference is not counted. alibi-detect's CVMDriftOnline is made for a run
length of 1000; all its runs share one reference, for it takes long to calibrate. A run without an alarm counts as its cap
of observations, so "at least" is meant where there are such. Times are processor time.
"""

import random
import resource
import sys
import time

import ours
from river import drift

CAP = 20_000
DELAY_CAP = 2_000
REFERENCE = 1000
PEERS = {
    "ADWIN": lambda: drift.ADWIN(),
    "PageHinkley": lambda: drift.PageHinkley(),
    "KSWIN": lambda: drift.KSWIN(seed=1),
}
CHANGES = {
    "mean + 1 sigma": lambda x: x + 1.0,
    "mean + 0.5 sigma": lambda x: x + 0.5,
    "scale x 1.5": lambda x: x * 1.5,
}


def first_alarm(step, rng, change, most):
    """Observations until `step(value)` says drift, at most `most`."""
    for seen in range(1, most + 1):
        if step(change(rng.gauss(0.0, 1.0))):
            return seen
    return most


def report(name, start, runs, most, text, our_update):
    """`start(rng)` gives a step that has seen its reference. Prints run length, delays and cost."""
    lengths, spent = [], 0.0
    for run in range(runs):
        rng = random.Random(run)
        step = start(rng)
        began = time.process_time()
        lengths.append(first_alarm(step, rng, lambda x: x, most))
        spent += time.process_time() - began
    capped = sum(length == most for length in lengths)
    print(f"{name:<16} run length {sum(lengths) / runs:8.0f} over {runs} runs, {capped} of them at the cap of {most}")
    ours.show(f"{name}, an update", our_update, spent / sum(lengths) * 1e6, "us")
    for what, change in CHANGES.items():
        delays = []
        for run in range(runs):
            rng = random.Random(run)
            delays.append(first_alarm(start(rng), rng, change, DELAY_CAP))
        ours.show(f"{name}, delay, {what}", ours.delay(text, what), sum(delays) / runs, "obs")


def river(make):
    def start(rng):
        detector = make()
        for _ in range(REFERENCE):
            detector.update(rng.gauss(0.0, 1.0))

        def step(value):
            detector.update(value)
            return detector.drift_detected

        return step

    return start


def alibi(runs, text, our_update, our_learning):
    try:
        import numpy as np
        from alibi_detect.cd import CVMDriftOnline
    except ImportError as why:
        print(f"SKIPPED: alibi-detect: {why}")
        return
    rng = random.Random(12345)
    reference = np.array([rng.gauss(0.0, 1.0) for _ in range(REFERENCE)], np.float32)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    began = time.process_time()
    detector = CVMDriftOnline(reference, ert=1000, window_sizes=[20, 40], verbose=False)
    ours.show("CVMDriftOnline, calibration", our_learning, time.process_time() - began, "s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    ours.show("CVMDriftOnline, peak memory of the process", ours.resident_mb(text, "scalar independent"), peak, "MB")
    print(f"  (of which {before:.0f} MB before it was made)")

    def start(_):
        detector.reset_state()
        return lambda value: detector.predict(np.array([value], np.float32))["data"]["is_drift"]

    report("CVMDriftOnline", start, runs, CAP, text, our_update)


def main(runs):
    text = ours.printed("cost", "delay")
    our_update, our_learning = ours.cost(text, "scalar independent")
    alibi(runs, text, our_update, our_learning)
    for name, make in PEERS.items():
        report(name, river(make), runs, DELAY_CAP if name == "KSWIN" else CAP, text, our_update)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
