"""Rules and range queries beside Prometheus: CPU time and memory, one core each, in one run.

Both hold the same series (one hour at 5 s, and some minutes ahead so that nothing ages away meanwhile), evaluate the same
1 000 rules every 5 s, and answer the same queries over HTTP. CPU is what the kernel counts for the process, less what it
takes without rules; wall time says little on a shared machine.
"""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[3]
TICK = os.sysconf("SC_CLK_TCK")
SIZES = [int(size) for size in os.environ.get("SERIES", "1000 10000").split()]
SECONDS = int(os.environ.get("SECONDS_MEASURED", "60"))
EVERY = 5


def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def get(url, data=None, timeout=120, headers=None):
    with urllib.request.urlopen(urllib.request.Request(url, data, headers or {}), timeout=timeout) as answer:
        return answer.read()


def until(what, check, limit=60):
    end = time.time() + limit
    while True:
        try:
            if check():
                return
        except OSError:
            pass
        if time.time() > end:
            sys.exit(f"{what}: not so after {limit} s")
        time.sleep(0.2)


def rules():
    """Thresholds, rates, means over 5 minutes, and two standard deviations over an hour: 400, 300, 200, 100."""
    lines = ["groups:", "  - name: bench", f"    interval: {EVERY}s", "    rules:"]
    for n in range(1000):
        g, c = f'bench_g{{group="{n}"}}', f'bench_c{{group="{n}"}}'
        if n < 400:
            expr = f"{g} > 1.5"
        elif n < 700:
            expr = f"rate({c}[5m]) > 1e9"
        elif n < 900:
            expr = f"avg_over_time({g}[5m]) > 1.5"
        else:
            expr = f"abs({g} - avg_over_time({g}[1h])) > 5 * stddev_over_time({g}[1h])"
        lines.append(f"      - {{alert: Bench{n}, expr: '{expr}', for: 1m}}")
    return "\n".join(lines) + "\n"


class Server:
    """One of the two, on one core."""

    def __init__(self, name, core, command, api, metrics, counter, folder):
        self.name, self.api, self.metrics, self.counter = name, api, metrics, counter
        log = open(folder / f"{name}.log", "w")
        self.process = subprocess.Popen(["taskset", "-c", str(core), *map(str, command)], stdout=log, stderr=log)
        self.log = log.name

    def cpu(self):
        text = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(text[11]) + int(text[12])) / TICK

    def rss(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def evaluations(self):
        """Evaluations of all 1 000 rules."""
        text = get(self.metrics).decode()
        lines = [line for line in text.splitlines() if line.startswith(self.counter + "{")]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines) / 1000

    def query(self, text, at):
        form = urllib.parse.urlencode({"query": text, "time": at}).encode()
        answer = json.loads(get(self.api + "/api/v1/query", form))
        return {json.dumps(r["metric"], sort_keys=True): float(r["value"][1]) for r in answer["data"]["result"]}

    def reload(self):
        get(self.api + "/-/reload", b"")

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


def prometheus(folder, data):
    """Prometheus over the remote-written series, no rules yet."""
    (folder / "rules.yml").write_text("groups: []\n")
    (folder / "prometheus.yml").write_text(f"global: {{evaluation_interval: {EVERY}s}}\nrule_files: [rules.yml]\n")
    here = f"http://127.0.0.1:{(number := port())}"
    command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb",
               f"--web.listen-address=127.0.0.1:{number}", "--web.enable-lifecycle", "--web.enable-remote-write-receiver"]
    server = Server("prometheus", 0, command, here, here + "/metrics", "prometheus_rule_evaluations_total", folder)
    until("Prometheus is ready", lambda: get(here + "/-/ready"))
    kind = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
    for body in sorted(data.glob("write-*.bin")):
        get(here + "/api/v1/write", body.read_bytes(), headers=kind)
    return server


def plimsoll(folder, data, size):
    """The agent over the snapshot, no rules yet."""
    state, (tap, metrics, api) = folder / "state", (port(), port(), port())
    state.mkdir()
    shutil.copy(data / "series.snapshot", state)
    (folder / "agent-rules.yml").write_text("groups: []\n")
    config = {
        "sources": {"tap": {"listen": f"127.0.0.1:{tap}", "upstream": "http://127.0.0.1:9"}, "gpu": {"enabled": False}},
        "listen": {"metrics": f"127.0.0.1:{metrics}", "api": f"127.0.0.1:{api}"},
        "rules": {"builtin": False, "files": [str(folder / "agent-rules.yml")]},
        "limits": {"data": str(state), "series": size + 5000},
    }
    (folder / "agent.yml").write_text(json.dumps(config))
    binary = os.environ.get("PLIMSOLL_BIN", ROOT / "target/release/plimsoll")
    command = [binary, "run", "--config", folder / "agent.yml"]
    here, open_port = f"http://127.0.0.1:{api}", f"http://127.0.0.1:{metrics}"
    server = Server("plimsoll", 1, command, here, open_port + "/metrics", "plimsoll_rule_evaluations_total", folder)
    until("the agent is ready", lambda: get(open_port + "/readyz"))
    return server


def per_evaluation(server, folder, file):
    """CPU seconds of one evaluation of all rules, and memory while they run."""
    time.sleep(5)
    idle, began = server.cpu(), time.time()
    time.sleep(15)
    idle = (server.cpu() - idle) / (time.time() - began)
    (folder / file).write_text(rules())
    server.reload()
    until("rules are evaluated", lambda: server.evaluations() >= 2)
    cpu, count, began = server.cpu(), server.evaluations(), time.time()
    time.sleep(SECONDS)
    took, count, cpu = time.time() - began, server.evaluations() - count, server.cpu() - cpu
    return (cpu - idle * took) / count, server.rss()


def per_query(server, text, at):
    """CPU seconds of one answer: enough of them for two CPU seconds."""
    server.query(text, at)
    cpu, count = server.cpu(), 0
    while count < 3 or (server.cpu() - cpu < 2 and count < 3000):
        server.query(text, at)
        count += 1
    return (server.cpu() - cpu) / count


def main():
    work = pathlib.Path(tempfile.mkdtemp(prefix="bench-rules-"))
    version = subprocess.run(["prometheus", "--version"], capture_output=True, text=True).stdout.split()[2]
    print(f"beside Prometheus {version}; one core each; CPU time of the process; load {os.getloadavg()[0]:.1f}\n")
    print("| what | series | Prometheus | plimsoll | Prometheus / plimsoll |\n| --- | --- | --- | --- | --- |")
    row = lambda what, size, a, b, unit: print(f"| {what} | {size} | {a:.2f} {unit} | {b:.2f} {unit} | {a / b:.1f} |", flush=True)
    try:
        for size in SIZES:
            folder, now = work / str(size), int(time.time())
            data = folder / "data"
            from_s, until_s = (now - 3660) // 5 * 5, (now + 900) // 5 * 5
            maker = os.environ.get("BENCH_DATA", ROOT / "target/release/examples/rules_bench_data")
            subprocess.run([maker, data, str(size), str(from_s), str(until_s)], check=True)
            at = now // EVERY * EVERY + 2  # between samples: 2.x counts one at the window's left edge, 3.x does not
            both = [prometheus(folder, data), plimsoll(folder, data, size)]
            try:
                (a, rss_a), (b, rss_b) = [per_evaluation(s, folder, f) for s, f in zip(both, ["rules.yml", "agent-rules.yml"])]
                row("1 000 rules, CPU per evaluation", size, a * 1e3, b * 1e3, "ms")
                row("resident memory, with the rules", size, rss_a, rss_b, "MiB")
                for what in ["avg_over_time({}[1h])", "stddev_over_time({}[1h])", "quantile_over_time(0.95, {}[1h])"]:
                    for count, selector in [(1, 'bench_g{id="0"}')] * (size == SIZES[0]) + [(size, '{__name__=~"bench_[gc]"}')]:
                        text = what.replace("{}", selector)
                        theirs, ours = both[0].query(text, at), both[1].query(text, at)
                        same = theirs.keys() == ours.keys() and all(
                            abs(theirs[k] - ours[k]) <= 1e-9 * max(1, abs(theirs[k])) for k in theirs)
                        if not same or len(ours) != count:
                            sys.exit(f"{text}: the answers differ ({len(theirs)} and {len(ours)} elements)")
                        row(what.replace("{}", "..."), count, *(per_query(s, text, at) * 1e3 for s in both), "ms")
            finally:
                for server in both:
                    server.stop()
    finally:
        shutil.rmtree(work, ignore_errors=True)


main()
