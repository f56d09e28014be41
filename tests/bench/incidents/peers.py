"""What river's anomaly detectors cost a row, scoring then learning each value: `peers.py ROWS` prints `name microseconds`."""
import sys
import time

import river
from river import anomaly

PEERS = {
    "GaussianScorer": lambda: anomaly.GaussianScorer(),
    "HalfSpaceTrees": lambda: anomaly.HalfSpaceTrees(seed=1, limits={"value": (0, 150)}),
}


def main():
    rows = int(sys.argv[1])
    values = [i * 7919 % 1000 / 10 + (i // 144) % 2 * 50 for i in range(rows)]
    for name, make in PEERS.items():
        model, start = make(), time.process_time()
        for value in values:
            row = {"value": value}
            if name == "GaussianScorer":
                model.score_one(None, value)
                model.learn_one(None, value)
            else:
                model.score_one(row)
                model.learn_one(row)
        print(f"river {river.__version__} {name}", (time.process_time() - start) * 1e6 / rows)


if __name__ == "__main__":
    main()
