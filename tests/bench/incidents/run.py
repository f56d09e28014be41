"""`plimsoll detect` at its built-in threshold over all labelled data of ../shared: what was found, missed, false, per file.

    run.py [nab] [mscloud] [tcpd] [asd] [smd] [cost]     all by default

PLIMSOLL names the binary, PLIMSOLL_SHARED the data, PLIMSOLL_RIVER a Python that has river. An event is a labelled
interval; it is found when an alarm lies in it or up to SLACK rows behind it; every other alarm is false. "chance" is how
many events the file's false alarms, strewn evenly, would hit. Prints Markdown.
"""
import csv
import gzip
import io
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
DATA = pathlib.Path(os.environ.get("PLIMSOLL_SHARED", ROOT.parent / "shared")) / "data"
BINARY = os.environ.get("PLIMSOLL", str(ROOT / "target/release/plimsoll"))
SLACK = 10
PEER_ROWS = 100_000
OUR_ROWS = 1_000_000


def table(path):
    with gzip.open(path, "rt", newline="") as file:
        return list(csv.DictReader(file))


def alarms(text):
    """Rows that `plimsoll detect` labels, of CSV text."""
    done = subprocess.run([BINARY, "detect", "-"], input=text.encode(), capture_output=True)
    if done.returncode:
        sys.exit(done.stderr.decode())
    return [i for i, row in enumerate(csv.DictReader(io.StringIO(done.stdout.decode()))) if row["label"] == "1"]


def series(values, times=None, step_s=60):
    """CSV text; without times the rows are evenly spaced."""
    times = times or (i * step_s for i in range(len(values)))
    return "timestamp,value\n" + "".join(f"{at},{value}\n" for at, value in zip(times, values))


def runs(flags):
    """[(first, last)] of every run of true."""
    out = []
    for i, flag in enumerate(flags):
        if flag and (i == 0 or not flags[i - 1]):
            out.append([i, i])
        elif flag:
            out[-1][1] = i
    return [tuple(run) for run in out]


class Tally:
    """One data set's table."""

    def __init__(self, name):
        self.name, self.sums = name, [0] * 5
        print(f"\n### {name}\n\n| file | rows | events | found | missed | chance | false |\n| --- | " + "--- | " * 6)

    def file(self, name, rows, events, found, slack=SLACK):
        """`found`: for each series of the file, the rows of its alarms."""
        near = lambda row: any(a <= row <= b + slack for a, b in events)
        hit = sum(any(a <= row <= b + slack for of_one in found for row in of_one) for a, b in events)
        false = sum(not near(row) for of_one in found for row in of_one)
        quiet = max(rows - sum(b + slack + 1 - a for a, b in events), 1)
        chance = sum(1 - (1 - min(false / quiet, 1)) ** (b + slack + 1 - a) for a, b in events)
        self.line(name, rows, len(events), hit, chance, false)
        self.sums = [x + y for x, y in zip(self.sums, (rows, len(events), hit, chance, false))]

    @staticmethod
    def line(name, rows, events, hit, chance, false):
        print(f"| {name} | {rows} | {events} | {hit} | {events - hit} | {chance:.1f} | {false} |")

    def end(self):
        self.line(f"**{self.name}**", *self.sums)


def nab():
    tally = Tally("nab")
    for name, windows in sorted(json.loads((DATA / "nab/labels/windows.json").read_text()).items()):
        rows, index = table(DATA / "nab/data" / f"{name}.gz"), {}
        for i, row in enumerate(rows):
            index.setdefault(row["timestamp"].split(".")[0], i)
        events = sorted((index[a.split(".")[0]], index[b.split(".")[0]]) for a, b in windows)
        text = series([row["value"] for row in rows], [row["timestamp"] for row in rows])
        tally.file(name.removesuffix(".csv"), len(rows), events, [alarms(text)], slack=0)
    tally.end()


def mscloud():
    tally = Tally("mscloud")
    for path in sorted((DATA / "mscloud").rglob("*.csv.gz")):
        rows = table(path)
        found = alarms(series([row["Value"] for row in rows], [row["TimeStamp"] for row in rows]))
        tally.file(str(path.relative_to(DATA / "mscloud"))[:-7], len(rows), runs([r["Label"] == "1" for r in rows]), [found])
        if path.name.startswith("unavail-01") and found:
            sys.exit(f"unavail-01 must be silent, alarms at {found}")
    tally.end()


def tcpd():
    """A change point is an event of one row; points of several annotators within five rows are one."""
    tally, notes = Tally("tcpd"), json.loads((DATA / "tcpd/annotations.json").read_text())
    for name, note in sorted(notes.items()):
        data, events = json.loads((DATA / "tcpd" / f"{name}.json").read_text()), []
        for at in sorted({at for marks in note["annotators"].values() for at in marks}):
            if events and at - events[-1][1] <= 5:
                events[-1] = (events[-1][0], at)
            else:
                events.append((at, at))
        found = [alarms(series(one["raw"])) for one in data["series"]]
        tally.file(name, len(data["series"][0]["raw"]), events, found)
    tally.end()


def servers(folder, step_s):
    """The labels are of the whole server: an event is found when any metric alarms, false alarms are those of all."""
    tally = Tally(folder)
    for path in sorted((DATA / folder).glob("*_test.csv.gz")):
        test, train = table(path), path.with_name(path.name.replace("_test", "_train"))
        before = table(train) if train.exists() else []
        metrics = [column for column in test[0] if column != "label"]
        found = [alarms(series([row[m] for row in before + test], step_s=step_s)) for m in metrics]
        found = [[row - len(before) for row in of_one if row >= len(before)] for of_one in found]
        name = f"{path.name.removesuffix('_test.csv.gz')} x {len(metrics)}"
        tally.file(name, len(test), runs([row["label"] == "1" for row in test]), found)
    tally.end()


def cost():
    """Processor time a row: ours with reading and writing of CSV, the peers' of the scoring alone."""
    print("\n### cost\n\n| | us a row | ratio to plimsoll |\n| --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "values.csv"
        path.write_text(series([i * 7919 % 1000 / 10 + (i // 144) % 2 * 50 for i in range(OUR_ROWS)]))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([BINARY, "detect", path, "-o", pathlib.Path(folder) / "scored.csv"], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    ours = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e6 / OUR_ROWS
    print(f"| plimsoll detect, with its CSV | {ours:.2f} | 1 |")
    peers = pathlib.Path(__file__).with_name("peers.py")
    done = subprocess.run([os.environ.get("PLIMSOLL_RIVER", sys.executable), peers, str(PEER_ROWS)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"peers.py failed; set PLIMSOLL_RIVER to a Python that has river\n{done.stderr}")
    for line in done.stdout.splitlines():
        name, us = line.rsplit(" ", 1)
        print(f"| {name} | {float(us):.2f} | {float(us) / ours:.1f} |")


def main():
    what = {"nab": nab, "mscloud": mscloud, "tcpd": tcpd, "asd": lambda: servers("asd", 300),
            "smd": lambda: servers("smd", 60), "cost": cost}
    for name in sys.argv[1:] or what:
        what[name]()


if __name__ == "__main__":
    main()
