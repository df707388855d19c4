"""Start-up of commands that look things up, this checkout beside another one, taking turns.

    python benchmarks/startup.py PROJECT MODEL PICTURE --other ../checkout-of-a-former-commit [--rounds 5]

PROJECT holds a database with version 1 of MODEL, PICTURE is one sample of it. Each command is a process of its own; the
first round is left out, since it downloads the version and compiles modules. Prints, of each command and checkout, the
least and the median of wall and CPU seconds (user and system, children included), and the ratio of the medians of CPU.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def commands(model: str, picture: Path) -> dict[str, list[str]]:
    """What is called, by name."""
    named = f"models:/{model}/1"
    return {
        "models list": ["models", "list"],
        "models show": ["models", "show", model, "1"],
        "models diff": ["models", "diff", model, "1", "1"],
        "trace": ["trace", named],
        "score, one picture": ["score", named, str(picture.resolve()), "--pictures", "sample", "--quiet", "true"],
    }


def seconds_of(command: list[str], checkout: Path, project: Path) -> tuple[float, float]:
    """Wall and CPU seconds of one call."""
    environment = {**os.environ, "PYTHONPATH": f"{checkout / 'platform'}:{checkout / 'models'}"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    with tempfile.TemporaryDirectory() as folder:
        output = ["--output", f"{folder}/scored"] if command[0] == "score" else []
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        called = [sys.executable, "-m", "vaeforge", *command, *output]
        done = subprocess.run(called, cwd=project, env=environment, capture_output=True, text=True)
        wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 2) or (done.returncode and command[0] != "trace"):  # a trace may find differences
        raise SystemExit(f"{' '.join(command)} of {checkout}: {done.stderr}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", type=Path)
    parser.add_argument("model")
    parser.add_argument("picture", type=Path)
    parser.add_argument("--other", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    checkouts = {"other": asked.other.resolve(), "this": ROOT}
    for name, command in commands(asked.model, asked.picture).items():
        found: dict[str, list[tuple[float, float]]] = {who: [] for who in checkouts}
        for _ in range(asked.rounds + 1):
            for who, checkout in checkouts.items():
                found[who].append(seconds_of(command, checkout, asked.project))
        middle = {}
        for who, rows in found.items():
            wall, cpu = zip(*rows[1:], strict=True)
            middle[who] = statistics.median(cpu)
            walls = f"wall {min(wall):.2f} and {statistics.median(wall):.2f}"
            print(f"{name}, {who}: {walls}, CPU {min(cpu):.2f} and {middle[who]:.2f} s (least and median)", flush=True)
        print(f"{name}: other / this, CPU: {middle['other'] / middle['this']:.1f}", flush=True)


if __name__ == "__main__":
    main()
