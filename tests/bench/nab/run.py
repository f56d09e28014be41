"""`plimsoll detect` over the labelled data of ../shared: NAB by the official method beside published figures, and for
TCPD, mscloud, ASD and SMD what was found, missed and false at the built-in threshold, file by file.

    run.py [nab|labelled]        both by default; PLIMSOLL names the binary, PLIMSOLL_SHARED the data
"""
import csv
import gzip
import io
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


def detect(source, *flags):
    """[(score, label)] of a file, or of CSV text."""
    text = None if isinstance(source, pathlib.Path) else source.encode()
    command = [BINARY, "detect", str(source) if text is None else "-", *flags]
    done = subprocess.run(command, input=text, capture_output=True)
    if done.returncode:
        sys.exit(done.stderr.decode())
    rows = list(csv.DictReader(io.StringIO(done.stdout.decode())))
    return [(float(row["anomaly_score"]), row["label"] == "1") for row in rows]


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


def runs(flags):
    """[(first, last)] of every run of true."""
    out = []
    for i, flag in enumerate(flags):
        if flag and (i == 0 or not flags[i - 1]):
            out.append([i, i])
        elif flag:
            out[-1][1] = i
    return [tuple(run) for run in out]


def tally(name, events, alarms, rows, slack=10):
    """An event is found when an alarm lies in it or up to `slack` rows behind it; other alarms are false."""
    found = [any(a <= alarm <= b + slack for alarm in alarms) for a, b in events]
    false = [alarm for alarm in alarms if not any(a <= alarm <= b + slack for a, b in events)]
    print(f"{name:52s} {rows:6d} rows  events {len(events):3d}  found {sum(found):3d}  missed {len(found) - sum(found):3d}"
          f"  false {len(false):3d}")
    return len(events), sum(found), len(false), rows


def judged(name, events, series, step_s):
    """Series without times are given evenly spaced ones."""
    text = "timestamp,value\n" + "".join(f"{i * step_s},{value}\n" for i, value in enumerate(series))
    return tally(name, events, [i for i, (_, alarm) in enumerate(detect(text)) if alarm], len(series))


def total(what, tallies):
    events, found, false, rows = map(sum, zip(*tallies))
    print(f"{what:52s} {rows:6d} rows  events {events:3d}  found {found:3d}  missed {events - found:3d}  false {false:3d}"
          f"  = one in {rows // max(false, 1)} rows\n")


def table(path):
    with gzip.open(path, "rt", newline="") as file:
        return list(csv.DictReader(file))


def nab_labelled():
    labels = json.loads((SHARED / "data/nab/labels/windows.json").read_text())
    tallies = []
    for name, windows in sorted(labels.items()):
        path = SHARED / "data/nab/data" / f"{name}.gz"
        index = {}
        for i, row in enumerate(table(path)):
            index.setdefault(row["timestamp"].split(".")[0], i)
        events = sorted((index[a.split(".")[0]], index[b.split(".")[0]]) for a, b in windows)
        alarms = [i for i, (_, alarm) in enumerate(detect(path)) if alarm]
        tallies.append(tally(f"nab/{name}", events, alarms, len(index), slack=0))
    total("nab", tallies)


def tcpd():
    folder, tallies = SHARED / "data/tcpd", []
    notes = json.loads((folder / "annotations.json").read_text())
    for path in sorted(folder.glob("*.json")):
        if path.stem == "annotations":
            continue
        data = json.loads(path.read_text())
        seen = sorted({at for marks in notes[path.stem]["annotators"].values() for at in marks})
        events = []
        for at in seen:
            if events and at - events[-1][1] <= 5:
                events[-1][1] = at
            else:
                events.append([at, at])
        for series in data["series"]:
            tallies.append(judged(f"tcpd/{path.stem} {series['label']}", events, series["raw"], 60))
    total("tcpd", tallies)


def mscloud():
    tallies = []
    for path in sorted((SHARED / "data/mscloud").rglob("*.csv.gz")):
        events = runs([row["Label"] == "1" for row in table(path)])
        scored = detect(path)
        alarms = [i for i, (_, alarm) in enumerate(scored) if alarm]
        tallies.append(tally(str(path.relative_to(SHARED / "data"))[:-7], events, alarms, len(scored)))
        if path.name.startswith("unavail-01") and alarms:
            sys.exit("unavail-01 must be silent")
    total("mscloud", tallies)


def servers(folder, pattern, step_s, columns):
    """Columns of a server are joined by "any": an event counts as found when one of them alarms."""
    tallies = []
    for path in sorted((SHARED / "data" / folder).glob(pattern)):
        test = table(path)
        train = path.with_name(path.name.replace("_test", "_train"))
        before = table(train) if train.exists() and train != path else []
        events = runs([row["label"] == "1" for row in test])
        for column in columns:
            series = [row[column] for row in before + test]
            shifted = [(a + len(before), b + len(before)) for a, b in events]
            tallies.append(judged(f"{folder}/{path.name[:-12]} {column}", shifted, series, step_s))
    total(folder, tallies)


def main():
    what = sys.argv[1:] or ["nab", "labelled"]
    if "nab" in what:
        nab()
        print()
    if "labelled" in what:
        print("at the built-in threshold; asd and smd: one metric a row, though the labels are of the whole server")
        nab_labelled()
        tcpd()
        mscloud()
        servers("asd", "*_test.csv.gz", 300, ["m00", "m05"])
        servers("smd", "*_test.csv.gz", 60, ["m00", "m05"])


if __name__ == "__main__":
    main()
