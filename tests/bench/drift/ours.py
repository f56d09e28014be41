"""What plimsoll's detectors cost and how soon they see a change, read off `sim_drift`: the other side of each ratio."""

import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[3]
SIMULATION = ROOT / "target/release/examples/sim_drift"


def printed(*sections):
    """The lines that `sim_drift SECTION...` prints; they are printed here too."""
    text = subprocess.run([str(SIMULATION), *sections], capture_output=True, check=True, text=True).stdout
    print(text, end="", flush=True)
    return text


def cost(text, what):
    """Microseconds an update and seconds of learning of `scalar independent` or `embedding`."""
    line = re.search(rf"cost, {what}.*?: ([\d.]+) us.*?(?:learning|calibration)[^\d]*(?:\(m=\d+\) )?([\d.]+) s", text)
    return (float(line[1]), float(line[2])) if line else (None, None)


def resident_mb(text, what):
    """Resident memory of the whole process after the updates, in MB."""
    line = re.search(rf"cost, {what}.*resident \d+ -> (\d+) kB", text)
    return int(line[1]) / 1000 if line else None


def delay(text, what, observations=1000):
    """Mean delay of the scalar detector after a reference of so many observations."""
    line = re.search(rf"m={observations}\s+after\s+0: {re.escape(what)}\s+([\d.]+)", text)
    return float(line[1]) if line else None


def show(what, ours, peer, unit):
    """One line: ours, the peer's, and how many times the peer's is ours."""
    if ours is None or peer is None:
        print(f"{what:<52} ours {ours}, peer {peer} {unit}", flush=True)
        return
    print(f"{what:<52} ours {ours:10.3f}  peer {peer:10.3f} {unit:<3} ratio {peer / max(ours, 1e-9):10.1f}", flush=True)
