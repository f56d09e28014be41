#!/usr/bin/env python3
"""Writes scipy.json: what scipy (1.17) says about tables that both sides generate from a few integers.

python3 -m venv /tmp/v && /tmp/v/bin/pip install scipy && /tmp/v/bin/python tests/golden/two_sample/generate.py
"""
import json
import pathlib

import numpy as np
from scipy import stats
from scipy.spatial.distance import jensenshannon


def draws(seed, count, modulus):
    """The same linear congruential generator stands in rules/src/two_sample/golden_tests.rs."""
    out, state = [], seed
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        out.append((state >> 33) % modulus)
    return out


def sample(seed, count, modulus, shift, scale):
    return np.array([shift + scale * (u / modulus) for u in draws(seed, count, modulus)])


SIZES = [(2, 2), (2, 9), (5, 5), (7, 4), (20, 20), (19, 13), (21, 8), (30, 30), (100, 100), (100, 99), (128, 96),
         (1000, 1000), (1000, 777), (3000, 40), (10000, 17), (4000, 4001), (12000, 9), (15000, 700), (20000, 20000)]
SHAPES = [(1 << 30, 0.0, 1.0), (1 << 30, 0.3, 1.0), (1 << 30, 0.02, 1.05), (8, 0.0, 1.0), (8, 0.125, 1.0),
          (1 << 30, 5.0, 1.0), (1, 0.0, 1.0)]


def two_samples():
    cases = []
    for at, (n, m) in enumerate(SIZES):
        for shape, (modulus, shift, scale) in enumerate(SHAPES):
            if n > 3000 and shape in (1, 4, 5, 6):
                continue
            seeds = (1000 + at * 17 + shape, 5000 + at * 31 + shape)
            a, b = sample(seeds[0], n, modulus, 0.0, 1.0), sample(seeds[1], m, modulus, shift, scale)
            auto, asymptotic = stats.ks_2samp(a, b), stats.ks_2samp(a, b, method="asymp")
            cvm, limit = stats.cramervonmises_2samp(a, b), stats.cramervonmises_2samp(a, b, method="asymptotic")
            cases.append({
                "n": n, "m": m, "seeds": seeds, "modulus": modulus, "shift": shift, "scale": scale,
                "ks": [auto.statistic, auto.pvalue, asymptotic.pvalue], "cvm": [cvm.statistic, cvm.pvalue, limit.pvalue],
                "wasserstein": stats.wasserstein_distance(a, b),
            })
    return cases


def kolmogorov():
    cases = []
    for n in (1, 2, 3, 10, 37, 139, 140, 141, 500, 5000, 50000, 99999, 100001, 400000, 3000000):
        for z in (0.05, 0.2, 0.4, 0.6, 0.86, 1.0, 1.3, 1.47, 1.6, 1.99, 2.1, 2.6, 3.5, 4.3, 8.0):
            x = z / n**0.5
            if x < 1.0:
                cases.append([n, x, stats.kstwo.sf(x, n)])
    return cases


def tables():
    cases = []
    for at, (bins, n, m) in enumerate([(2, 40, 60), (2, 1000, 30), (3, 100, 100), (5, 1000, 1000), (10, 50, 5000),
                                       (32, 10000, 9000), (77, 10000, 3000), (400, 100000, 90000)]):
        for lean in (0, 1):
            def count(seed, size, lean):
                counts = [5] * bins
                for u, v in zip(draws(seed, size, bins), draws(seed + 1, size, 3)):
                    counts[u // 2 if lean and v == 0 else u] += 1
                return np.array(counts)
            seeds = (90 + at, 190 + at)
            a, b = count(seeds[0], n, 0), count(seeds[1], m, lean)
            p, q = a / a.sum(), b / b.sum()
            outcome = []
            for correction in (True, False):
                for power in ("pearson", "log-likelihood"):
                    found = stats.chi2_contingency([a, b], correction=correction, lambda_=power)
                    outcome += [found.statistic, found.pvalue]
            cases.append({
                "bins": bins, "n": n, "m": m, "seeds": seeds, "lean": lean, "chi2_and_g": outcome,
                "js": jensenshannon(p, q), "psi": ((q - p) * np.log(q / p)).sum(),
                "hellinger": np.sqrt(((np.sqrt(p) - np.sqrt(q)) ** 2).sum() / 2),
            })
    return cases


def adjusted():
    cases = []
    for seed, count in [(1, 1), (2, 2), (3, 7), (4, 40)]:
        p = [(u / 1000) ** 2 for u in draws(seed, count, 1000)]
        cases.append({"p": p, "adjusted": list(stats.false_discovery_control(p))})
    return cases


def plain(value):
    return value.tolist() if hasattr(value, "tolist") else value


text = json.dumps({"two_samples": two_samples(), "kolmogorov": kolmogorov(), "tables": tables(), "adjusted": adjusted()},
                  default=plain)
text = text.replace('}, {"', '},\n{"').replace("], [", "],\n[")
pathlib.Path(__file__).with_name("scipy.json").write_text(text + "\n")
print(len(text), "bytes")
