"""Cost of a search besides training: our engine, Ray's documented pattern (Train inside Tune), plain Optuna.

    pip install -r benchmarks/requirements.txt     # Ray's dashboard, without which the documented pattern hangs
    python benchmarks/search_overhead.py [--trials 1000] [--documented-trials 4]

The work is the same everywhere: `vaeforge.training.loop.fit`, ten epochs of a small MLP VAE on 8 x 8 digits,
configurations from TPE, ASHA with rungs at 2, 4 and 8 epochs. Each engine runs in a process of its own, one after the
other. Ours runs with everything on: ledger, a checkpoint an epoch, MLflow, the dashboard's journal. Overhead = (wall
from the first lease to the last finish x groups - sum of seconds inside `fit`) / trials. The sampler's own seconds are
reported apart, and the memory of each kind of process while the first and the last hundred trials ended.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TOY = ROOT / "benchmarks" / "toy"
EPOCHS, FIRST_RUNG, REDUCTION = 10, 2, 2
SPACE = {
    "family": "toy",
    "fidelity": {"max": EPOCHS, "min": FIRST_RUNG, "reduction": REDUCTION},
    "space": {
        "model.latent_dim": {"int": [2, 16], "log": True},
        "beta.value": {"float": [0.1, 10.0], "log": True},
    },
}
PACKAGES = ("ray", "torch", "mlflow", "optuna")


def write_digits(folder: Path) -> None:
    """The digits as uint8 [N, 1, 8, 8]: 1,600 to train on, 197 to validate on."""
    import numpy as np
    from sklearn.datasets import load_digits

    from vaeforge.data.prepare import write_data_set
    from vaeforge.data.prepared import PreparedManifest
    from vaeforge.paths import write_json
    from vaeforge.records import to_json
    from vaeforge.samples import DataSet, Samples

    images = load_digits().images.astype("uint8")[:, None]
    parts = [Samples.unconditional(part) for part in (images[:1600], images[1600:], images[1600:])]
    nothing = np.zeros(len(parts[2]), dtype=np.int64)
    write_data_set(folder, DataSet(*parts, nothing, [""] * len(nothing)))
    # a search compares it with the one that it was planned with
    write_json(folder / "manifest.json", to_json(PreparedManifest(family="toy", data_identity="0" * 64, arrays={})))


def reports(folder: Path, params: dict[str, Any], seed: int, checkpoints: Path | None = None) -> Iterator[Any]:
    """The shared work: one trial, a report an epoch."""
    import torch

    from vaeforge.config.loader import load
    from vaeforge.data.prepared import load_training
    from vaeforge.search.space.space import parse_space
    from vaeforge.search.space.trial_experiment import experiment_for
    from vaeforge.training.loop import TrainingData, fit

    torch.set_num_threads(1)
    base = load(folder, "toy").experiment
    experiment = experiment_for(parse_space(SPACE, "benchmark"), base, params, seed)
    return fit(experiment, TrainingData(*load_training(folder)), folder=checkpoints)


def ours(folder: Path, trials: int) -> dict[str, float]:
    """Warm worker groups, everything on."""
    import numpy as np
    from process_memory import Memory
    from rich.console import Console

    from vaeforge.config.loader import load
    from vaeforge.data.prepared import Prepared, load_training, read_prepared_manifest
    from vaeforge.ledger.events import EpochReported, SearchHeader, TrialFinished, TrialLeased
    from vaeforge.ledger.file import read_events
    from vaeforge.ledger.history import read_history
    from vaeforge.paths import Project
    from vaeforge.search.dispatch.resources import local_resources, place
    from vaeforge.search.engine import run_search
    from vaeforge.search.plan import Plan
    from vaeforge.search.results.ranking import winner
    from vaeforge.search.search_lock import SearchLock
    from vaeforge.search.space.space import parse_space
    from vaeforge.search.step import SearchRequest, open_search
    from vaeforge.track.tracker import Tracker

    config = load(folder, "toy", overrides={"search.trials": trials})
    train, validation, _ = load_training(folder)
    nothing = np.zeros(len(validation), dtype=np.int64)
    prepared = Prepared(folder, read_prepared_manifest(folder), train, validation, validation, nothing, nothing, {})
    project, space = Project(folder), parse_space(SPACE, "benchmark")
    header = SearchHeader(
        name="toy",
        family="toy",
        experiment_name="vaeforge-toy",
        space=SPACE,
        settings=config.model_dump(mode="json"),
        data_identity="0" * 64,
        data_source=str(folder),
        seed=0,
        trials=trials,
        configuration_hash="0",
        code_hash="0",
        command="benchmark",
    )
    placement = place(config.search, *local_resources())
    plan = Plan(project, "toy", config, space, prepared, placement, None, header)
    lock = SearchLock(plan.folder)
    open_search(plan, read_history(plan.ledger), SearchRequest(step="tune"))
    started, began = time.monotonic(), time.time()
    memory = Memory()
    tracker = Tracker(plan.ledger, f"sqlite:///{folder / 'mlflow.db'}", folder)
    outcome = run_search(plan, lambda: read_history(plan.ledger), lock, Console(file=sys.stderr), "quiet")
    search_seconds = time.monotonic() - started
    tracked = tracker.finish(300)
    events = list(read_events(plan.ledger))
    ends = sorted(event.time for event in events if isinstance(event, TrialFinished))
    first = min(event.time for event in events if isinstance(event, TrialLeased))
    last = ends[-1]
    inside = sum(event.seconds for event in events if isinstance(event, EpochReported))
    return {
        "trials": len(outcome.history.trials),
        "startup": first - began,
        "wall": last - first,
        "total": search_seconds,
        "epochs": sum(trial.epoch for trial in outcome.history.trials.values()),
        "inside": inside,
        "overhead": ((last - first) * placement.hosts - inside) / trials,
        "sampler": outcome.timings["sampler_seconds"],
        "sampler_waited_for": outcome.timings["sampler_wait_seconds"],
        **memory.growth(ends),
        "tracked": float(tracked),
        "tracking_lag": time.monotonic() - started - search_seconds,
        "best": winner(outcome.history, plan.space.objective).value,
    }


def documented(folder: Path, trials: int) -> dict[str, float]:
    """One Ray Train run inside every Ray Tune trial, as Ray's documentation has it."""
    os.environ["RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"] = "0.1"
    import ray
    from ray import train, tune
    from ray.train.torch import TorchTrainer
    from ray.tune.integration.ray_train import TuneReportCallback
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    def worker(config: dict[str, Any]) -> None:
        params = {"model.latent_dim": config["latent"], "beta.value": config["beta"]}
        for report in reports(Path(config["folder"]), params, seed=0):
            train.report({"value": report.value, "epoch": report.epoch})

    def trial(config: dict[str, Any]) -> None:
        name = f"train-{tune.get_context().get_trial_id()}"
        storage, callbacks = config["folder"] + "/stock", [TuneReportCallback()]
        TorchTrainer(
            worker,
            train_loop_config=config,
            scaling_config=train.ScalingConfig(num_workers=1, resources_per_worker={"CPU": 0.9}),
            run_config=train.RunConfig(name=name, storage_path=storage, callbacks=callbacks),
        ).fit()

    began = time.monotonic()
    # the dashboard stays on: without it the placement groups of finished trials are not freed, and the search hangs
    ray.init("local", num_cpus=os.cpu_count(), include_dashboard=True, log_to_driver=False)
    started = time.monotonic()
    space = {"latent": tune.lograndint(2, 17), "beta": tune.loguniform(0.1, 10), "folder": str(folder)}
    scheduler = ASHAScheduler("epoch", max_t=EPOCHS, grace_period=FIRST_RUNG, reduction_factor=REDUCTION)
    grid = tune.Tuner(
        tune.with_resources(trial, {"CPU": 0.01}),
        param_space=space,
        tune_config=tune.TuneConfig(
            metric="value",
            mode="min",
            num_samples=trials,
            max_concurrent_trials=os.cpu_count(),
            search_alg=OptunaSearch(seed=0),
            scheduler=scheduler,
        ),
        run_config=tune.RunConfig(name="stock", storage_path=str(folder / "tune"), verbose=0),
    ).fit()
    wall = time.monotonic() - started
    epochs = sum(result.metrics.get("epoch", 0) for result in grid if result.metrics)
    best = grid.get_best_result().metrics["value"]
    return {"trials": len(grid), "startup": started - began, "wall": wall, "epochs": epochs, "best": best}


def plain(folder: Path, trials: int) -> dict[str, float]:
    """Optuna alone: one process, one trial after the other, nothing recorded."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    epochs, inside = 0, 0.0

    def objective(trial: Any) -> float:
        nonlocal epochs, inside
        params = {
            "model.latent_dim": trial.suggest_int("latent", 2, 16, log=True),
            "beta.value": trial.suggest_float("beta", 0.1, 10, log=True),
        }
        value = float("inf")
        for report in reports(folder, params, trial.number):
            epochs, inside, value = epochs + 1, inside + report.seconds, report.value
            trial.report(value, report.epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return value

    began = time.monotonic()
    for _ in reports(folder, {}, 0):  # imports and first-use costs
        break
    started = time.monotonic()
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=FIRST_RUNG, reduction_factor=REDUCTION)
    study = optuna.create_study(pruner=pruner, sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(objective, n_trials=trials)
    wall = time.monotonic() - started
    return {
        "trials": trials,
        "startup": started - began,
        "wall": wall,
        "epochs": epochs,
        "inside": inside,
        "best": study.best_value,
    }


def run(engine: str, trials: int) -> dict[str, float]:
    """One engine in a process of its own."""
    folder = Path(tempfile.mkdtemp(prefix="vaeforge-overhead-"))
    try:
        write_digits(folder)
        path = os.pathsep.join(map(str, (ROOT / "platform", ROOT / "models", TOY, ROOT / "benchmarks")))
        environment = {**os.environ, "PYTHONPATH": path, "RAY_USAGE_STATS_ENABLED": "0"}
        command = [sys.executable, __file__, "--engine", engine, "--trials", str(trials), "--folder", str(folder)]
        output = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, cwd=folder).stdout
        result: dict[str, float] = json.loads(output.decode().splitlines()[-1])
        return result
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--documented-trials", type=int, default=4, help="each takes half a minute; 0: not run")
    parser.add_argument("--engine", choices=("ours", "documented", "plain"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.engine:
        engine = {"ours": ours, "documented": documented, "plain": plain}[arguments.engine]
        print(json.dumps(engine(arguments.folder, arguments.trials)))
        return
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, {versions}", flush=True)
    counts = {"ours": arguments.trials, "documented": arguments.documented_trials, "plain": arguments.trials}
    results: dict[str, dict[str, float]] = {}
    for name, trials in counts.items():
        if not trials:
            continue
        result = results[name] = run(name, trials)
        per_hour = 3600 * result["trials"] / result["wall"]
        shown = {key: round(value, 3) for key, value in result.items()}
        print(f"{name}: {per_hour:.0f} trials/h after start-up", shown, flush=True)
    rate = {name: result["trials"] / result["wall"] for name, result in results.items()}
    if "documented" in rate:
        print(f"ours / documented, trials per hour after start-up: {rate['ours'] / rate['documented']:.1f}")
    print(f"ours / plain Optuna, trials per hour after start-up: {rate['ours'] / rate['plain']:.2f}")
    total = results["ours"]["total"] / (results["plain"]["startup"] + results["plain"]["wall"])
    print(f"ours / plain Optuna, total time of {arguments.trials} trials: {total:.2f}")


if __name__ == "__main__":
    main()
