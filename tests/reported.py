"""Searches for tests of the report: kept ledgers in a project of their own, and made ones of any size."""

import json
import random
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from project import ROOT
from vaeforge.paths import Project

KEPT = ROOT / "tests" / "ledgers"
SCHEDULES = ("constant", "linear", "cyclical")


def kept_search(root: Path, name: str) -> Project:
    """A project with the kept search `name` (tests/ledgers)."""
    project = Project(root)
    folder = project.search(name)
    folder.mkdir(parents=True)
    shutil.copy(KEPT / f"{name}.jsonl", folder / "ledger.jsonl")
    return project


def written_search(root: Path, name: str, lines: Iterable[Mapping[str, Any]]) -> Project:
    """A project with a search whose ledger holds `lines`, one second apart."""
    project = Project(root)
    folder = project.search(name)
    folder.mkdir(parents=True)
    text = "".join(json.dumps({"time": 1000.0 + n, **line}) + "\n" for n, line in enumerate(lines))
    (folder / "ledger.jsonl").write_text(text, encoding="utf-8")
    return project


def header(name: str, **more: Any) -> dict[str, Any]:
    """The first line of a ledger, with a small space of three schedules."""
    weight = {"float": [0.001, 1], "log": True}
    space = {
        "family": "endoscopy",
        "fidelity": {"max": 6, "min": 2, "reduction": 3},
        "space": {
            "model.latent_dim": {"int": [2, 64], "log": True},
            "optimizer.lr": {"float": [0.0001, 0.01], "log": True},
            "beta.schedule": {
                "choice": {
                    "constant": {"beta.value": weight},
                    "linear": {"beta.value": weight},
                    "cyclical": {"beta.max": weight},
                    "cosine": {"beta.value": weight},
                }
            },
        },
    }
    return {
        "event": "search",
        "name": name,
        "family": "endoscopy",
        "space": space,
        "settings": {"experiment": {"model": {"latent_dim": 8}, "beta": {"schedule": "constant", "value": 1.0}}},
        "data_identity": "d" * 64,
        "data_source": "data/endoscopy",
        "seed": 1,
        **more,
    }


def made_trial(number: int, params: Mapping[str, Any], value: float, **more: Any) -> list[dict[str, Any]]:
    """The lines of one trial of `epochs` (6), whose value falls to `value`; `state` completed."""
    epochs, state = more.get("epochs", 6), more.get("state", "completed")
    checkpoint = {"file": f"/p/{number}.pt", "sha256": "0" * 64}
    rate, units = more.get("rate", 10.0), more.get("active_units", 4.0)
    lines: list[dict[str, Any]] = [
        {"event": "submitted", "trial": number, "params": dict(params), "group": str(params["beta.schedule"])},
        {"event": "leased", "trial": number, "attempt": 1, "host": number % 2, "generation": 1},
    ]
    for epoch in range(1, epochs + 1):
        here = value + 10.0 * (epochs - epoch)
        lines.append(
            {
                "event": "reported",
                "trial": number,
                "epoch": epoch,
                "metrics": {
                    "beta": 0.1 * epoch,
                    "val/nelbo": here,
                    "val/rate": rate,
                    "val/distortion": here + 200.0,
                    "val/active_units": units,
                    "val/mse": 0.1,
                },
                "value": here,
                "outcome": "completed" if epoch == epochs and state == "completed" else "running",
                "seconds": 0.5,
                "core_seconds": 0.5,
                "best": {**checkpoint, "epoch": epoch},
                "checkpoint": {**checkpoint, "epoch": epoch},
            }
        )
    if state == "stopped":
        stop = {"action": "stop", "value": value, "needed": value - 1, "why": f"rung {epochs}"}
        lines.append({"event": "decided", "trial": number, "epoch": epochs, **stop})
    end = {"state": state, "value": value if epochs else None, "epoch": epochs, "seconds": 0.5 * epochs}
    return [*lines, {"event": "finished", "trial": number, **end}]


def registered_groups() -> list[dict[str, Any]]:
    """Two worker groups come up."""
    return [{"event": "registered", "host": host, "generation": 1, "processes": []} for host in (0, 1)]


def made_search(root: Path, name: str, trials: int, seed: int = 0) -> Project:
    """A search whose values depend on the learning rate alone; every third trial is stopped at the first rung."""
    rng = random.Random(seed)
    lines = [header(name), *registered_groups()]
    for number in range(trials):
        schedule = SCHEDULES[number % 3]
        lr = 10 ** rng.uniform(-4, -2)
        params = {
            "model.latent_dim": rng.randint(2, 64),
            "optimizer.lr": lr,
            "beta.schedule": schedule,
            "beta.max" if schedule == "cyclical" else "beta.value": 10 ** rng.uniform(-3, 0),
        }
        value = -100.0 + 30.0 * abs(lr - 0.002) / 0.002
        ends = {"state": "stopped", "epochs": 2} if number % 3 == 2 and number > 5 else {}
        lines += made_trial(number, params, value, rate=rng.uniform(1, 40), **ends)
    ended = {"event": "ended", "reason": "trials", "seconds": 60.0, "trials": trials, "best": 0, "value": -100.0}
    return written_search(root, name, [*lines, ended])
