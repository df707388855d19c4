"""Search of many hosts and trials, simulated: what the dispatcher, the sampler and the readers of its ledger need.

    python benchmarks/scale.py [--hosts 1000] [--trials 10000] [--epochs 60] [--folder FOLDER] [--baseline CHECKOUT]

`simulate` runs the real dispatcher, ledger, searcher and scheduler under simulated hosts (`scale_simulation.py`);
`sampler` asks the sampler with so many trials ended; `write` writes the ledger of a search in which every trial trained
all its epochs; `restart`, `trials`, `report` and `track` read that, each in a process of its own. Seconds are CPU
seconds, so that other work on the machine does not count; what Ray's messages and the disk take is not in them. With
`--baseline` each part runs with the code of another checkout, too, in turn.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from scale_simulation import Size, example_trial, header_of, simulate, space_of

from vaeforge.ledger.events import EpochReported, SearchEnded, TrialFinished, TrialLeased, TrialSubmitted
from vaeforge.ledger.file import Ledger
from vaeforge.seeds import derive

ROOT = Path(__file__).resolve().parents[1]
Figures = dict[str, Any]


def main() -> None:
    """All parts, one after the other, each in a process of its own."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=60.0, help="of an epoch, simulated")
    parser.add_argument("--sampler", default="random")
    parser.add_argument("--scheduler", default="asha")
    parser.add_argument("--steady", action="store_true", help="epochs of all trials take the same time")
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm/vaeforge-scale"))
    parser.add_argument("--parts", nargs="*", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--baseline", type=Path, help="another checkout of this project")
    parser.add_argument("--part", choices=list(PARTS), help=argparse.SUPPRESS)
    given = parser.parse_args()
    shape = (given.hosts, given.trials, given.epochs, given.seconds, given.sampler, given.scheduler, given.steady)
    if given.part:
        print(json.dumps(PARTS[given.part](Size(*shape), given.folder)))
        return
    versions = ", ".join(f"{name} {version(name)}" for name in ("ray", "optuna", "mlflow", "pydantic"))
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, {versions}", flush=True)
    for part in given.parts:
        for name, root in {"": ROOT, " baseline": given.baseline}.items():
            if root is not None:
                print(f"{part}{name}: {json.dumps(_process(part, root, given.folder / part))}", flush=True)


def _process(part: str, root: Path, folder: Path) -> Figures:
    """A part with the code in `root`; `write` keeps its files for those that read them."""
    if part in ("simulate", "write"):
        shutil.rmtree(folder, ignore_errors=True)
    path = os.pathsep.join([*(str(root / name) for name in ("platform", "models")), str(ROOT / "benchmarks")])
    command = [sys.executable, __file__, *sys.argv[1:], "--part", part]
    found = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, check=False)
    if found.returncode:
        return {"failed": found.stderr.decode()[-2000:]}
    figures: Figures = json.loads(found.stdout.decode().splitlines()[-1])
    return figures


def _simulate(size: Size, folder: Path) -> Figures:
    simulation, took, spent = simulate(size, folder / "simulate")
    driver = sum(simulation.measured.parts.values())
    answers = simulation.measured.answers
    history = simulation.actor.dispatcher.history
    reported = len(answers.get("report", [])) + len(answers.get("report_at_rung", []))
    return {
        "simulated_seconds": round(took, 1),
        "ideal_seconds": size.trials * size.epochs * size.seconds / size.hosts,
        "trials": len(history.ended_trials),
        "reports": reported,
        "cpu_seconds": round(spent, 1),
        "driver_cpu_seconds": {part: round(seconds, 2) for part, seconds in simulation.measured.parts.items()},
        "answers_per_cpu_second": round(sum(map(len, answers.values())) / (spent - driver)),
        "milliseconds": {
            call: {"count": len(took), "median": _ms(took, 50), "p99": _ms(took, 99), "most": _ms(took, 100)}
            for call, took in answers.items()
        },
        "ledger_mb": round(simulation.ledger.stat().st_size / 1e6, 1),
        "memory_mb": _memory(),
    }


def _ms(seconds: list[float], percentile: float) -> float:
    return round(1000 * float(np.percentile(seconds, percentile)), 2)


def _memory() -> int:
    """The most that this process has held, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _sampler(size: Size, folder: Path) -> Figures:
    """CPU milliseconds of one proposal by TPE with more and more trials ended."""
    from dataclasses import replace

    from vaeforge.search.samplers.trials import FinishedTrial

    sampler = space_of(replace(size, sampler="tpe")).build_sampler(0)
    draw = space_of(replace(size, sampler="random")).build_sampler(1)
    found, known = {}, 0
    for count in (300, 1000, 3000, 10_000):
        while known < min(count, size.trials):
            params = draw.ask(known)
            assert params is not None
            value = float(np.random.default_rng(derive(0, "value", known)).normal())
            sampler.tell(FinishedTrial(known, params, "completed", (value,), size.epochs))
            known += 1
        started = time.process_time()
        for number in range(known, known + 5):
            sampler.ask(number)
        found[str(known)] = round(1000 * (time.process_time() - started) / 5, 1)
    return {"milliseconds_a_proposal": found, "memory_mb": _memory()}


def _write(size: Size, folder: Path) -> Figures:
    """The ledger of a search of which every trial trained all its epochs, without waiting for the disk."""
    path = _ledger(folder)
    ledger = Ledger(path)
    ledger.append(header_of(size, folder / "write"))
    ledger.close()
    draw = space_of(size).build_sampler(1)
    with path.open("ab") as file:
        for number in range(size.trials):
            params = draw.ask(number)
            assert params is not None
            events = [TrialSubmitted(trial=number, params=params, group=str(params["beta.schedule"]))]
            host, common = number % size.hosts, {"core_seconds": size.seconds, "wall_seconds": float(number)}
            events += [TrialLeased(trial=number, attempt=1, host=host, generation=1)]
            value = None
            for report in example_trial(size, path.parent, number):
                events += [EpochReported(trial=number, **vars(report), **common)]
                value = report.value
            seconds = size.seconds * size.epochs
            events += [TrialFinished(trial=number, state="completed", value=value, epoch=size.epochs, seconds=seconds)]
            for at, event in enumerate(events):
                content = event.to_json() | {"time": 1.7e9 + number + at / 100}
                file.write((json.dumps(content, separators=(",", ":")) + "\n").encode())
        end = SearchEnded(reason="trials", trials=size.trials).to_json() | {"time": 1.8e9}
        file.write((json.dumps(end, separators=(",", ":")) + "\n").encode())
    return {"ledger_mb": round(path.stat().st_size / 1e6, 1), "kb_a_trial": path.stat().st_size / 1e3 / size.trials}


def _ledger(folder: Path) -> Path:
    return folder / "write" / "artifacts" / "searches" / "scale" / "ledger.jsonl"


def _restart(size: Size, folder: Path) -> Figures:
    """The dispatcher's actor, rebuilt from the ledger as after its process was killed."""
    from vaeforge.search.dispatch.dispatcher_actor import DispatcherActor
    from vaeforge.search.dispatch.types import DispatchConfig

    space, before, started = space_of(size), _memory(), (time.process_time(), time.perf_counter())
    actor = DispatcherActor(str(_ledger(folder).parent), DispatchConfig(), 3, space.objective)
    spent, took = time.process_time() - started[0], time.perf_counter() - started[1]
    trials = len(actor.dispatcher.history.ended_trials)
    actor.dispatcher.ledger.close()
    return {"cpu_seconds": round(spent, 2), "seconds": round(took, 2), "trials": trials, "mb": [before, _memory()]}


def _command(*arguments: str) -> Any:
    def run(size: Size, folder: Path) -> Figures:
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        command = [sys.executable, "-m", "vaeforge", *arguments]
        found = subprocess.run(command, cwd=folder / "write", capture_output=True, check=False)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        page = folder / "write" / "artifacts" / "searches" / "scale" / "report.html"
        return {
            "rc": found.returncode,
            "cpu_seconds": round(used.ru_utime - before, 1),
            "memory_mb": used.ru_maxrss // 1024,
            "lines": found.stdout.count(b"\n"),
            "printed_kb": round(len(found.stdout) / 1000),
            "said": found.stderr.decode()[-300:],
            **({"page_mb": round(page.stat().st_size / 1e6, 1)} if page.exists() else {}),
        }

    return run


def _track(size: Size, folder: Path) -> Figures:
    """The whole ledger told to an empty MLflow store in SQLite."""
    from vaeforge.track.replay import Replay

    database = folder / "write" / "mlflow.db"
    database.unlink(missing_ok=True)
    _ledger(folder).with_name("tracking.json").unlink(missing_ok=True)
    started = time.process_time()
    replay = Replay(_ledger(folder), f"sqlite:///{database}", folder / "write", from_start=True)
    replay.step()
    return {
        "cpu_seconds": round(time.process_time() - started, 1),
        "database_mb": round(database.stat().st_size / 1e6, 1),
        "memory_mb": _memory(),
    }


PARTS = {
    "simulate": _simulate,
    "sampler": _sampler,
    "write": _write,
    "restart": _restart,
    "trials": _command("trials", "scale"),
    "report": _command("report", "scale"),
    "track": _track,
}

if __name__ == "__main__":
    main()
