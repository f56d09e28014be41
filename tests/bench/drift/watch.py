"""How long `plimsoll drift watch` runs before it says drift where there is none, and how soon it says it where there is.

    python3 tests/bench/drift/watch.py target/release/plimsoll [--data ../shared/data] [--runs 100] [SETTING...]

Drives the real binary over a pipe, one process a run, seeds fixed: 1000 reference rows, then calm rows until the first
alarm (at most CAP run lengths, which then counts as the run's length). Every run draws its reference anew, as every user
does. Settings: those of CALM (mean run length over nominal, standard error; also rows over alarms within the first run
length, which is less where references differ in quality) and `delay` (rows from a change in one of
nine columns to the first alarm, whichever column says it; a run that alarms before the change is counted and left out);
or one of CHANGES alone; and `count` (all alarms in five run lengths, a second one of the same column among them).
Needs nothing but Python; texts are those of banking77, resampled in random order.
"""

import argparse
import csv
import gzip
import itertools
import json
import math
import multiprocessing
import os
import random
import selectors
import subprocess
from pathlib import Path

REFERENCE = 1000
CAP = 12
CHANGE_AFTER = 300
LATEST = 4000
SPAN = 5


def drawn(shares):
    """One of the names, by its share."""
    names, weights = list(shares), list(itertools.accumulate(shares.values()))
    return lambda rng: rng.choices(names, cum_weights=weights)[0]


FINISH = {"stop": 0.8, "length": 0.15, "tool": 0.05}
RARE = {"ok": 0.995, "error": 0.005}
BINARY = {"yes": 0.6, "no": 0.4}
LANGUAGE = {"en": 0.5, "zh": 0.2, "es": 0.12, "fr": 0.09, "de": 0.06, "ja": 0.03}
NUMBERS = {
    "normal": lambda rng: rng.gauss(0.0, 1.0),
    "seconds": lambda rng: rng.lognormvariate(0.0, 1.0),
    "tokens": lambda rng: round(rng.lognormvariate(4.0, 0.8)),
    "uniform": lambda rng: rng.random(),
    "dice": lambda rng: rng.randint(1, 6),
}
WORDS = {"finish": drawn(FINISH), "rare": drawn(RARE), "binary": drawn(BINARY), "language": drawn(LANGUAGE)}
KINDS = dict.fromkeys([*NUMBERS, "length"], "numeric") | dict.fromkeys(WORDS, "categorical") | {"text": "text"}

NINE = ["normal", "seconds", "tokens", "finish", "rare", "binary", "language", "length", "text"]
CALM = {
    "1 numeric": ["normal"],
    "5 numeric": ["normal", "seconds", "tokens", "uniform", "dice"],
    "3 numeric + 3 categorical": ["normal", "seconds", "tokens", "finish", "rare", "binary"],
    "9 mixed, one of text": NINE,
}


def shifted(by):
    return lambda rng, row, texts: row | {"normal": row["normal"] + by}


def slower(rng, row, texts):
    return row | {"seconds": 2.0 * row["seconds"]}


def failing(rng, row, texts):
    return row | {"rare": "error"} if rng.random() < 0.1 else row


def cut_off(rng, row, texts):
    return row | {"finish": "length"} if rng.random() < 0.2 else row


def new_subject(share):
    def change(rng, row, texts):
        return row | {"text": rng.choice(texts[1])} if rng.random() < share else row

    return change


CHANGES = {
    "normal + 1 sd": shifted(1.0),
    "normal + 0.5 sd": shifted(0.5),
    "seconds x 2": slower,
    "errors 0.5 -> 10 %": failing,
    "finish length + 20 %": cut_off,
    "text: 50 % of held-out subjects": new_subject(0.5),
    "text: all of held-out subjects": new_subject(1.0),
}


def banking77(data):
    """Texts of 67 subjects, and those of ten that are held out."""
    known, held_out = [], []
    for part in ["train", "test"]:
        with gzip.open(Path(data) / f"text/banking77_{part}.csv.gz", "rt", newline="") as file:
            for row in csv.DictReader(file):
                text = " ".join(row["text"].split())
                (held_out if hash_of(row["category"]) < 10 else known).append(text)
    return known, held_out


SUBJECTS = []


def hash_of(subject):
    """Subjects in the order in which they first come."""
    if subject not in SUBJECTS:
        SUBJECTS.append(subject)
    return SUBJECTS.index(subject)


def row(rng, columns, texts):
    made = {name: NUMBERS[name](rng) for name in columns if name in NUMBERS}
    made |= {name: WORDS[name](rng) for name in columns if name in WORDS}
    if "text" in columns:
        made["text"] = rng.choice(texts[0])
        made["length"] = len(made["text"])
    return made


def line(columns, made):
    cells = (str(made[name]) if name != "text" else '"' + made[name].replace('"', '""') + '"' for name in columns)
    return ",".join(cells) + "\n"


def first_alarm(plimsoll, columns, arl, make, most):
    """The first alarm `(row, signal)`, rows counted after the reference; `None` when there is none in `most` rows."""
    kinds = ",".join(f"{name}={KINDS[name]}" for name in columns)
    command = [plimsoll, "drift", "watch", "/dev/stdin", "--reference-rows", str(REFERENCE), "--arl", str(arl)]
    run = subprocess.Popen([*command, "--columns", kinds], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    found = selectors.DefaultSelector()
    found.register(run.stdout, selectors.EVENT_READ)
    try:
        run.stdin.write((",".join(columns) + "\n").encode())
        for start in range(0, REFERENCE + most, 200):
            run.stdin.write("".join(line(columns, make(start + at)) for at in range(200)).encode())
            if found.select(0):
                break
        run.stdin.close()
        said = json.loads(run.stdout.readline())
        if "row" not in said or said["row"] - REFERENCE > most:
            return None
        return said["row"] - REFERENCE, said["signal"]
    except BrokenPipeError:
        raise SystemExit(f"{' '.join(command)} ended early; its message stands above") from None
    finally:
        run.kill()
        run.wait()


def calm_run(job):
    plimsoll, columns, arl, run, texts = job
    rng = random.Random(f"calm {run} {columns}")
    most = CAP * arl
    return first_alarm(plimsoll, columns, arl, lambda at: row(rng, columns, texts), most) or (most, "none")


def counting_run(job):
    """All alarms of SPAN run lengths of calm rows."""
    plimsoll, columns, arl, run, texts = job
    rng = random.Random(f"counting {run} {columns}")
    kinds = ",".join(f"{name}={KINDS[name]}" for name in columns)
    command = [plimsoll, "drift", "watch", "/dev/stdin", "--reference-rows", str(REFERENCE), "--arl", str(arl)]
    rows = "".join(line(columns, row(rng, columns, texts)) for _ in range(REFERENCE + SPAN * arl))
    said = subprocess.run(
        [*command, "--columns", kinds], input=",".join(columns) + "\n" + rows, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(said.stdout.splitlines()[-1])["summary"]["alarms"]


def delay_run(job):
    plimsoll, change, arl, run, texts = job
    rng = random.Random(f"{change} {run}")
    change = CHANGES[change]

    def make(at):
        made = row(rng, NINE, texts)
        return change(rng, made, texts) if at >= REFERENCE + CHANGE_AFTER else made

    after, signal = first_alarm(plimsoll, NINE, arl, make, CHANGE_AFTER + LATEST) or (CHANGE_AFTER + LATEST, "none")
    return after - CHANGE_AFTER, signal


def mean_and_error(values):
    mean = sum(values) / len(values)
    return mean, math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))


def tally(signals):
    return ", ".join(f"{name} {signals.count(name)}" for name in sorted(set(signals), key=signals.count, reverse=True))


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("plimsoll")
    arguments.add_argument("--data", default=os.environ.get("PLIMSOLL_SHARED", "../shared") + "/data")
    arguments.add_argument("--runs", type=int, default=100)
    arguments.add_argument("--delay-runs", type=int, default=40)
    arguments.add_argument("--arl", type=int, default=1000)
    arguments.add_argument("settings", nargs="*", default=[*CALM, "count", "delay"])
    given = arguments.parse_intermixed_args()
    texts = banking77(given.data) if (Path(given.data) / "text").is_dir() else None
    with multiprocessing.Pool(2) as pool:
        for name in given.settings:
            columns = CALM.get(name, [] if name == "count" else NINE)
            if "text" in columns and texts is None:
                print(f"SKIPPED: {name}: no banking77 in {given.data}")
            elif name in CALM:
                jobs = [(given.plimsoll, columns, given.arl, run, texts) for run in range(given.runs)]
                lengths, signals = zip(*pool.imap(calm_run, jobs))
                mean, error = mean_and_error(lengths)
                capped = signals.count("none")
                early = sum(min(length, given.arl) for length in lengths) / sum(length <= given.arl for length in lengths)
                print(
                    f"{name:<28} ARL {given.arl}: {mean:7.0f} = {mean / given.arl:.2f}x (se {error / given.arl:.2f}, "
                    f"{given.runs} runs, {capped} capped at {CAP}x), {early / given.arl:.2f}x by the alarms of the first "
                    f"{given.arl} rows alone; said by {tally(signals)}",
                    flush=True,
                )
            elif name == "count":
                columns = CALM["5 numeric"]
                jobs = [(given.plimsoll, columns, given.arl, run, texts) for run in range(given.runs)]
                mean, error = mean_and_error(pool.map(counting_run, jobs))
                print(
                    f"all alarms over 5 numeric columns, ARL {given.arl}: {mean / SPAN:.2f} in each {given.arl} rows "
                    f"(se {error / SPAN:.2f}, {given.runs} runs of {SPAN * given.arl} rows)",
                    flush=True,
                )
            else:
                for change in CHANGES if name == "delay" else [name]:
                    jobs = [(given.plimsoll, change, given.arl, run, texts) for run in range(given.delay_runs)]
                    runs = pool.map(delay_run, jobs)
                    after = [run for run in runs if run[0] > 0]
                    mean, error = mean_and_error([delay for delay, _ in after])
                    print(
                        f"delay, {change:<32} {mean:6.0f} rows (se {error:.0f}, {len(after)} runs, "
                        f"{len(runs) - len(after)} alarmed before); said by {tally([signal for _, signal in after])}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
