"""Trainings on a GPU: samples a second of `fit`, step by step and as captured graphs, and of stacks of lanes.

    python benchmarks/device.py [--family endoscopy] [--baseline CHECKOUT] [--windows 5] [--lanes 1,8,32]
                                [--search TRIALS] [--json FILE]

Each row trains the family's sample in a process of its own: one epoch to warm up (libraries, captures), then windows of
one epoch each, timed without validation; the medians are compared. Rows of `--baseline`, another checkout of this
repository with its sample pulled, are of the same run. Rows of lanes train as many trials, which differ in their seeds,
as one model: samples of all of them, their validation, and the checkpoints that they write beyond it. `--search`
compares whole searches of so many trials with one lane and with `--lanes auto`, in trials an hour after the first one
was leased. A last row trains one step through DDP with NCCL in a group of one rank. `--device cpu` shows that the
script runs where there is no GPU; nothing is captured there.
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
    about = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else platform.processor(),
        "torch": torch.__version__,
    }
    if row["lanes"]:
        return stacked(experiment, data, ProcessGroup(device=device), row) | about
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
        **about,
    }


def stacked(experiment: Any, data: Any, group: Any, row: dict[str, Any]) -> dict[str, Any]:
    """`measured` for a stack of `row["lanes"]` trials."""
    from vaeforge.training.lanes.stack import LaneStack
    from vaeforge.training.loop import EpochReport, ModelTraining

    def stack_of_all(folder: Path | None = None) -> LaneStack:
        stack = LaneStack(data, group, row["lanes"], together=True)
        for number in range(row["lanes"]):
            own = experiment.training.model_copy(update={"seed": number})
            trial = experiment.model_copy(update={"training": own})
            own_folder = None if folder is None else folder / str(number)
            stack.add(number, ModelTraining(trial, data, group, own_folder, stacked=True))
        return stack

    def epochs_of(stack: LaneStack) -> tuple[float, list[Any]]:
        """Seconds of an epoch with all that follows it, and what the last one gave."""
        epochs, reports = list[float](), list[Any]()
        for _ in range(1 + row["windows"]):
            started = time.perf_counter()
            reports = list(stack.train_epoch(lambda: None).values())
            _wait(group.device)
            epochs.append(time.perf_counter() - started)
        return statistics.median(epochs[1:]), reports

    seconds = stack_of_all().seconds_a_step(3, row["steps"])
    epoch, reports = epochs_of(stack_of_all())
    with tempfile.TemporaryDirectory(prefix="vaeforge-device-") as folder:
        saved, _ = epochs_of(stack_of_all(Path(folder)))
    found = [report for report in reports if isinstance(report, EpochReport)]
    samples = row["lanes"] * experiment.training.batch_size
    return {
        "samples_per_second": samples / seconds,
        "step_ms": 1e3 * seconds,
        "validation_ms": 1e3 * (epoch - row["steps"] * seconds),
        "checkpoints_ms": 1e3 * (saved - epoch),
        "val/nelbo": statistics.mean(report.metrics["val/nelbo"] for report in found),
        "notes": [str(report) for report in reports if not isinstance(report, EpochReport)],
    }


def searched(given: argparse.Namespace, lanes: str) -> dict[str, Any]:
    """A whole search, from its first lease to its last end."""
    with tempfile.TemporaryDirectory(prefix="vaeforge-device-") as folder:
        for name in ("data", "tune_spaces", "params.yaml"):
            (Path(folder) / name).symlink_to(ROOT / name)
        order = ["tune", "--family", given.family, "--trials", str(given.search), "--name", "s", "--lanes", lanes]
        order += ["--device", given.device, "--register", "false", "--offline", "true"]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'platform'}:{ROOT / 'models'}"}
        command = [sys.executable, "-m", "vaeforge", *order]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            return {"error": (done.stderr.strip().splitlines() or ["no answer"])[-1]}
        lines = (Path(folder) / "artifacts/searches/s/ledger.jsonl").read_text(encoding="utf-8").splitlines()
        events = [json.loads(line) for line in lines]
    leased = [event["time"] for event in events if event["event"] == "leased"]
    ends = [event["time"] for event in events if event["event"] == "finished"]
    notes = {note for event in events if event["event"] == "reported" for note in event["notes"] if "lanes" in note}
    return {"trials_per_hour": 3600 * len(ends) / (max(ends) - min(leased)), "notes": sorted(notes)}


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
    now = common | {"name": "now", "build": str(ROOT), "compile": "auto"}
    rows.append(now | {"preset": "sample", "amp": "off"})
    lanes = [
        now | {"preset": preset, "amp": amp, "lanes": count}
        for preset in PRESETS
        for amp in PRECISIONS
        for count in given.lanes
    ]
    return [{"lanes": 0} | row for row in [*rows, *lanes]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", default="endoscopy")
    parser.add_argument("--baseline", type=Path)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--steps", type=int, default=STEPS, help="of an epoch")
    parser.add_argument("--windows", type=int, default=5)
    parser.add_argument("--lanes", type=lambda text: [int(one) for one in text.split(",") if one], default=[1, 8, 32])
    parser.add_argument("--search", type=int, default=0, help="trials of whole searches; 0: none")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--row", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.row:
        print(MARK + json.dumps(measured(given.row)), flush=True)
        return
    rows: list[dict[str, Any]] = []
    print(
        f"{'preset':<10} {'amp':<5} {'build':<7} {'steps':<6} {'lanes':>5} {'samples/s':>10} {'ms a step':>10} "
        f"{'ms validation':>13} {'ms checkpoints':>14}   val/nelbo"
    )
    for row in planned(given):
        found = in_a_process(row)
        rows.append(row | found)
        lanes = row["lanes"] or ""
        label = f"{row['preset']:<10} {row['amp']:<5} {row['name']:<7} {row['compile'] or '':<6} {lanes:>5}"
        if "error" in found:
            print(f"{label} {found['error']}", flush=True)
            continue
        rate = f"{found['samples_per_second']:10,.0f} {found['step_ms']:10.3f} {found['validation_ms']:13.1f}"
        saved = f"{found['checkpoints_ms']:14.1f}" if "checkpoints_ms" in found else " " * 14
        print(f"{label} {rate} {saved}   {found['val/nelbo']:.2f} {' '.join(found['notes'])}", flush=True)
    for lanes in ("1", "auto") if given.search else ():
        found = searched(given, lanes)
        rows.append({"search": given.search, "lanes": lanes} | found)
        print(f"search of {given.search} trials, lanes {lanes}: {found}", flush=True)
    one_rank_of_nccl(given.device)
    print("DDP in a group of one rank: runs")
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
