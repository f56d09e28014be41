"""Does the tap notice that the shadow worker is killed? Its latency and errors with kills and without, turn by turn.

tests/bench/shadow/kills.py MODEL [--kills N] [--kind plain|slow]; MODEL is a folder of an embedding model. Needs release
builds of plimsoll and of the examples tap_load and tap_upstream. The agent runs with the defaults for what is sampled; 8
connections send a request every 20 ms each (`slow`: every 100 ms, a stream of 32 events). Turns of 12 seconds alternate: in
the disturbed ones the worker is killed (-9) at the beginning and in the middle. Latencies of all turns of a kind are put
together; the interval of the ratio is from 1 000 resamplings of whole turns. Nothing else may run on the machine.
"""
import argparse
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[3]
RELEASE = ROOT / "target/release"
TURN, CONNECTIONS = 12.0, 8
PACE = {"plain": 20, "slow": 100}
BROKEN = ("broken_stream", "unreachable", "timeout", "server_error")


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def eventually(what: str, ask, seconds: float = 60.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if found := ask():
                return found
        except OSError:
            pass
        time.sleep(0.05)
    raise SystemExit(f"not within {seconds} s: {what}")


def series(port: int) -> dict[str, float]:
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if line and line[0] != "#")
    return {name: float(value) for name, value in lines}


def errors(metrics: dict[str, float]) -> float:
    total = lambda outcome: sum(n for key, n in metrics.items() if key.startswith("plimsoll_requests_total") and outcome in key)
    return sum(total(f'outcome="{outcome}"') for outcome in BROKEN)


def worker(place: str) -> int:
    for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"unix:{place}" in entry.read_text().split("\0"):
                return int(entry.parent.name)
        except OSError:
            continue
    return 0


def is_ready(place: str) -> bool:
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(1)
        s.connect(place)
        s.sendall(b"GET /healthz HTTP/1.1\r\nhost: w\r\nconnection: close\r\n\r\n")
        return s.recv(64).startswith(b"HTTP/1.1 200")


class Setting:
    """The agent before the fastest engine there is."""

    def __init__(self, folder: str, model: str):
        self.tap, self.metrics, engine = free_port(), free_port(), free_port()
        self.place = f"{folder}/data/shadow.sock"
        config = {
            "sources": {"tap": {"upstream": f"http://127.0.0.1:{engine}", "listen": f"127.0.0.1:{self.tap}"},
                        "engine": {"enabled": False}, "gpu": {"enabled": False}},
            "listen": {"metrics": f"127.0.0.1:{self.metrics}", "api": f"127.0.0.1:{free_port()}"},
            "limits": {"data": f"{folder}/data"},
            "shadow": {"model": model},
        }
        path = pathlib.Path(folder, "plimsoll.yaml")
        path.write_text(json.dumps(config))
        log = open(f"{folder}/log", "w")
        self.engine = subprocess.Popen([RELEASE / "examples/tap_upstream", str(engine)])
        self.agent = subprocess.Popen([RELEASE / "plimsoll", "run", "--config", path], stdout=log, stderr=log)
        eventually("the worker is ready", lambda: is_ready(self.place))

    def turn(self, kind: str, file: str, kills: int) -> list[int]:
        requests = int(TURN * 1000 / PACE[kind]) * CONNECTIONS
        command = [RELEASE / "examples/tap_load", f"127.0.0.1:{self.tap}", kind, *map(str, (CONNECTIONS, requests, PACE[kind])), file]
        load, begin = subprocess.Popen(command, stdout=subprocess.DEVNULL), time.monotonic()
        for kill in range(kills):
            time.sleep(max(0.0, begin + 0.2 + kill * TURN / 2 - time.monotonic()))
            eventually("the worker is back", lambda: is_ready(self.place))
            os.kill(worker(self.place), signal.SIGKILL)
        if load.wait():
            raise SystemExit("a request of the load failed")
        eventually("the worker is back", lambda: is_ready(self.place))
        return [int(line) for line in open(file)]

    def close(self):
        self.agent.terminate()
        self.agent.wait()
        self.engine.kill()


def quantile(turns: list[list[int]], share: float) -> float:
    values = sorted(value for turn in turns for value in turn)
    return values[round((len(values) - 1) * share)]


def interval(quiet: list[list[int]], killed: list[list[int]]) -> tuple[float, float]:
    again = lambda turns: random.choices(turns, k=len(turns))
    # of each turn every eighth value is enough to resample, and a good deal faster
    thin = lambda turns: [turn[::8] for turn in turns]
    quiet, killed = thin(quiet), thin(killed)
    ratios = sorted(quantile(again(killed), 0.99) / quantile(again(quiet), 0.99) for _ in range(1000))
    return ratios[25], ratios[974]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--kind", choices=PACE, default="plain")
    chosen = parser.parse_args()
    random.seed(1)
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(folder, os.path.abspath(chosen.model))
        file = f"{folder}/latencies"
        setting.turn(chosen.kind, file, 0)  # everybody warm
        before, quiet, killed, done = series(setting.metrics), [], [], 0
        while done < chosen.kills:
            kills = min(2, chosen.kills - done)
            quiet.append(setting.turn(chosen.kind, file, 0))
            killed.append(setting.turn(chosen.kind, file, kills))
            done += kills
        after = series(setting.metrics)
        setting.close()
    print(f"{chosen.kind}, {done} kills, load {os.getloadavg()[0]:.1f}; microseconds")
    print("| turns | requests | p50 | p90 | p99 | p99.9 |\n| --- | --- | --- | --- | --- | --- |")
    for name, turns in (("undisturbed", quiet), ("killed twice each", killed)):
        shown = " | ".join(f"{quantile(turns, share):.0f}" for share in (0.5, 0.9, 0.99, 0.999))
        print(f"| {len(turns)} {name} | {sum(map(len, turns))} | {shown} |")
    for name, turns in (("undisturbed", quiet), ("killed", killed)):
        print(f"p99 of each turn, {name}:", *(f"{quantile([turn], 0.99):.0f}" for turn in turns))
    # what the machine's noise alone does to the ratio: the undisturbed turns against each other
    noise = quantile(quiet[1::2], 0.99) / quantile(quiet[::2], 0.99) if len(quiet) > 1 else 1.0
    low, high = interval(quiet, killed)
    ratio = quantile(killed, 0.99) / quantile(quiet, 0.99)
    print(f"p99 ratio killed to undisturbed {ratio:.3f}, 95 % {low:.3f} to {high:.3f}; undisturbed to undisturbed {noise:.3f}")
    restarts = after.get("plimsoll_shadow_restarts_total", 0) - before.get("plimsoll_shadow_restarts_total", 0)
    print(f"restarts {restarts:.0f}; errors of the tap before {errors(before):.0f}, after {errors(after):.0f}")


if __name__ == "__main__":
    main()
