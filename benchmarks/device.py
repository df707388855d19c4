"""One training on a GPU: samples a second of `fit`, step by step and as captured graphs, beside an earlier build.

    python benchmarks/device.py [--family endoscopy] [--baseline CHECKOUT] [--windows 5] [--json FILE]

Each row trains the family's sample in a process of its own: one epoch to warm up (libraries, captures), then windows of
one epoch each, timed without validation; the medians are compared. Rows of `--baseline`, another checkout of this
repository with its sample pulled, are of the same run. A last row trains one step through DDP with NCCL in a group of
one rank. `--device cpu` shows that the script runs where there is no GPU; nothing is captured there.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
STEPS = 60
PRESETS = ("sample", "published")
PRECISIONS = ("off", "bf16")
MARK = "measured: "


def measured(row: dict[str, Any]) -> dict[str, Any]:
    """Train one row in this process, with whatever build it imports."""
    import torch

    from vaeforge.config.loader import load
    from vaeforge.data.prepare import prepare
    from vaeforge.data.prepared import load_training
    from vaeforge.paths import Project
    from vaeforge.training import loop
    from vaeforge.training.process_group import ProcessGroup

    device = torch.device(row["device"])
    with tempfile.TemporaryDirectory(prefix="vaeforge-device-") as folder:
        (Path(folder) / "data").symlink_to(Path(row["build"]) / "data")
        settings = {"training.epochs": 1 + row["windows"], "training.steps_per_epoch": row["steps"]}
        settings |= {"training.patience": 1000, "training.amp": row["amp"]}
        settings |= {"training.compile": row["compile"]} if row["compile"] else {}
        project = Project(Path(folder))
        prepare(project, load(Path(folder), row["family"], row["preset"]).experiment)
        experiment = load(Path(folder), row["family"], row["preset"], settings).experiment
        data = loop.TrainingData(*load_training(project.prepared(row["family"])))
    validation: list[float] = []
    original = loop.validate

    def validate(*arguments: Any) -> Any:
        _wait(device)
        started = time.perf_counter()
        found = original(*arguments)
        validation.append(time.perf_counter() - started)
        return found

    loop.validate = validate  # type: ignore[attr-defined]
    reports = list(loop.fit(experiment, data, ProcessGroup(device=device)))
    seconds = [report.seconds - checked for report, checked in zip(reports, validation, strict=True)][1:]
    samples = row["steps"] * experiment.training.batch_size
    return {
        "samples_per_second": samples / statistics.median(seconds),
        "step_ms": 1e3 * statistics.median(seconds) / row["steps"],
        "validation_ms": 1e3 * statistics.median(validation[1:]),
        "val/nelbo": reports[-1].metrics["val/nelbo"],
        "notes": [note for report in reports for note in report.notes],
        "device": torch.cuda.get_device_name() if device.type == "cuda" else platform.processor(),
        "torch": torch.__version__,
    }


def _wait(device: Any) -> None:
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


def one_rank_of_nccl(device: str) -> None:
    """One step of a small model through DDP, in a group of one rank."""
    import torch
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel

    with tempfile.TemporaryDirectory() as folder:
        backend = "nccl" if device == "cuda" else "gloo"
        dist.init_process_group(backend, init_method=f"file://{folder}/store", rank=0, world_size=1)
        model = torch.nn.Linear(8, 8).to(device)
        wrapped = DistributedDataParallel(model, device_ids=[0] if device == "cuda" else None)
        wrapped(torch.ones(4, 8, device=device)).sum().backward()
        total = torch.ones(3, device=device)
        dist.all_reduce(total)
        assert model.weight.grad is not None and total.tolist() == [1.0, 1.0, 1.0]
        dist.destroy_process_group()


def in_a_process(row: dict[str, Any]) -> dict[str, Any]:
    """`measured` with the row's build."""
    build = Path(row["build"])
    environment = {**os.environ, "PYTHONPATH": f"{build / 'platform'}:{build / 'models'}"}
    command = [sys.executable, str(Path(__file__).resolve()), "--row", json.dumps(row)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    found = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    if done.returncode or not found:
        return {"error": (done.stderr.strip().splitlines() or ["no answer"])[-1]}
    answer: dict[str, Any] = json.loads(found[-1].removeprefix(MARK))
    return answer


def planned(given: argparse.Namespace) -> list[dict[str, Any]]:
    """The rows: of each preset and precision the earlier build, steps one by one, captured, and what `auto` keeps."""
    builds = [("before", given.baseline, [None])] if given.baseline else []
    builds.append(("now", ROOT, ["off", "graph"]))
    common = {"family": given.family, "device": given.device, "steps": given.steps, "windows": given.windows}
    rows = [
        common | {"name": name, "build": str(build), "preset": preset, "amp": amp, "compile": kind}
        for preset in PRESETS
        for amp in PRECISIONS
        for name, build, kinds in builds
        for kind in kinds
    ]
    return [*rows, common | {"name": "now", "build": str(ROOT), "preset": "sample", "amp": "off", "compile": "auto"}]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", default="endoscopy")
    parser.add_argument("--baseline", type=Path)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--steps", type=int, default=STEPS, help="of an epoch")
    parser.add_argument("--windows", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--row", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.row:
        print(MARK + json.dumps(measured(given.row)), flush=True)
        return
    rows: list[dict[str, Any]] = []
    print(f"{'preset':<10} {'amp':<5} {'build':<7} {'steps':<6} {'samples/s':>10} {'ms a step':>10}   val/nelbo")
    for row in planned(given):
        found = in_a_process(row)
        rows.append(row | found)
        label = f"{row['preset']:<10} {row['amp']:<5} {row['name']:<7} {row['compile'] or '':<6}"
        if "error" in found:
            print(f"{label} {found['error']}", flush=True)
            continue
        rate = f"{found['samples_per_second']:10,.0f} {found['step_ms']:10.3f}"
        print(f"{label} {rate}   {found['val/nelbo']:.2f} {' '.join(found['notes'])}", flush=True)
    one_rank_of_nccl(given.device)
    print("DDP in a group of one rank: runs")
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
