"""The tap against direct and nginx in one run: CPU per request, requests/s, latency added. Loopback only, bounded.

Usage: run.py [--rounds N] [--tap COMMAND...]; prints a table, and with --json FILE the figures. Rounds interleave the
three, so that a slow moment of the machine hits all of them; each figure is the median of its rounds.
"""

import argparse
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
BIN = ROOT / "target/release/examples"
TICK = os.sysconf("SC_CLK_TCK")
# kind, connections, requests of one round, events of an answer
CASES = [
    ("plain", 1, 4000, 0),
    ("plain", 16, 20000, 0),
    ("plain", 256, 20000, 0),
    ("burst", 1, 1000, 66),
    ("burst", 16, 3000, 66),
    ("burst", 256, 3000, 66),
    ("slow", 16, 480, 34),
    ("slow", 256, 2560, 34),
]


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(port: int, process: subprocess.Popen) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if process.poll() is not None:
            sys.exit(f"{process.args} ended with {process.returncode} before it listened")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"{process.args} does not listen on port {port}")


def children(pid: int) -> list[int]:
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(") ", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its children (nginx' worker)."""
    total = 0
    for one in [pid, *children(pid)]:
        fields = pathlib.Path(f"/proc/{one}/stat").read_text().rsplit(") ", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def load(port: int, kind: str, connections: int, requests: int) -> dict:
    out = subprocess.run(
        [BIN / "tap_load", f"127.0.0.1:{port}", kind, str(connections), str(requests)],
        check=True, capture_output=True, text=True, timeout=120,
    ).stdout
    return json.loads(out)


def measure(name: str, port: int, pid: int | None, case: tuple) -> dict:
    kind, connections, requests, _ = case
    before = cpu_seconds(pid) if pid else 0.0
    result = load(port, kind, connections, requests)
    # What is observed beside the traffic counts too: leave it a moment to be done.
    time.sleep(0.1)
    used = cpu_seconds(pid) - before if pid else 0.0
    return {
        "cpu_us": used / result["requests"] * 1e6,
        "rps": result["requests"] / result["seconds"],
        "p50": result["p50"], "p99": result["p99"], "first_p50": result["first_p50"],
    }


def table(rows: list[dict]) -> None:
    print("| load | c | via | CPU us/request | requests/s | p50 us | p50 added | p99 us | p99 added | first byte p50 us |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for row in rows:
        for via in ("direct", "nginx", "tap"):
            f, d = row[via], row["direct"]
            cpu = "-" if via == "direct" else f"{f['cpu_us']:.1f}"
            added = ("-", "-") if via == "direct" else (f"{f['p50'] - d['p50']:.0f}", f"{f['p99'] - d['p99']:.0f}")
            print(f"| {row['kind']} | {row['connections']} | {via} | {cpu} | {f['rps']:.0f} | {f['p50']:.0f} | {added[0]} "
                  f"| {f['p99']:.0f} | {added[1]} | {f['first_p50']:.0f} |")


def verdict(rows: list[dict]) -> bool:
    """The targets: CPU at c = 16, and the latency added at every c."""
    good = True
    for row in rows:
        tap, nginx, direct = row["tap"], row["nginx"], row["direct"]
        added = tap["p50"] - direct["p50"]
        allowed = nginx["p50"] - direct["p50"] + 100
        line = f"{row['kind']} c={row['connections']}: p50 added {added:.0f} us (nginx + 0.1 ms: {allowed:.0f})"
        met = added <= allowed
        if row["connections"] == 16:
            budget = 25 + row["events"]
            met = met and tap["cpu_us"] <= budget
            line += f", CPU {tap['cpu_us']:.1f} us (budget {budget}, nginx {nginx['cpu_us']:.1f}, ratio {tap['cpu_us'] / nginx['cpu_us']:.2f})"
        print(("met     " if met else "NOT MET ") + line)
        good = good and met
    return good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--only", help="kind of load")
    options = parser.parse_args()
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    if not pathlib.Path(nginx).exists():
        sys.exit("nginx is not installed: apt-get install nginx-light")
    running: list[subprocess.Popen] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            ports = {name: free_port() for name in ("direct", "nginx", "tap")}
            conf = (HERE / "nginx.conf.in").read_text()
            for key, value in (("DIR", folder), ("UPSTREAM", ports["direct"]), ("LISTEN", ports["nginx"])):
                conf = conf.replace(f"@{key}@", str(value))
            pathlib.Path(folder, "nginx.conf").write_text(conf)
            pathlib.Path(folder, "error.log").touch()
            commands = {
                "direct": [BIN / "tap_upstream", str(ports["direct"])],
                "nginx": [nginx, "-c", f"{folder}/nginx.conf", "-p", folder],
                "tap": [BIN / "tap_only", f"127.0.0.1:{ports['tap']}", f"http://127.0.0.1:{ports['direct']}"],
            }
            pids = {}
            for name, command in commands.items():
                process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
                running.append(process)
                wait_for(ports[name], process)
                pids[name] = process.pid
            rows = []
            for case in CASES:
                if options.only and case[0] != options.only:
                    continue
                rounds = {name: [] for name in ports}
                for number in range(options.rounds + 1):
                    for name, port in ports.items():
                        figures = measure(name, port, None if name == "direct" else pids[name], case)
                        if number:  # the first round warms up
                            rounds[name].append(figures)
                row = {"kind": case[0], "connections": case[1], "requests": case[2], "events": case[3]}
                for name, figures in rounds.items():
                    row[name] = {key: statistics.median(f[key] for f in figures) for key in figures[0]}
                rows.append(row)
            print(f"{os.cpu_count()} cores, {options.rounds} rounds, medians; load, upstream and proxy share the machine")
            table(rows)
            good = verdict(rows)
            if options.json:
                options.json.write_text(json.dumps(rows, indent=1))
        finally:
            for process in reversed(running):
                process.terminate()
            for process in running:
                process.wait(10)
    sys.exit(0 if good else 1)


main()
